// What the scripted engine says: a token is a pure function of prompt, seed, choice and position,
// so an adopted sequence goes on with exactly the tokens that the first attempt would have given.
import type { TokenLogprob } from "../../../schemas/types.ts"
import type { EngineSampling } from "./Engine.ts"

/** A bias at or above it decides alone, as it does on a real model. */
const decisiveBias = 50

export interface ScriptedVocabulary {
  readonly vocabSize: number
  /** Ids below it (control tokens, as a rule) are never drawn unless a bias asks for one. */
  readonly firstId: number
}

const mix = (a: number, b: number): number => {
  let h = Math.imul(a ^ (b + 0x9e3779b9), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Greedy sequences ignore seed and choice, as argmax does. */
export const scriptKey = (promptIds: ArrayLike<number>, sampling: EngineSampling): number => {
  let key = 0x811c9dc5
  for (let i = 0; i < promptIds.length; i++) {
    key = Math.imul(key ^ (promptIds[i] ?? 0), 0x01000193)
  }
  if (sampling.temperature === 0) return key >>> 0
  return mix(mix(key, sampling.seed >>> 0), sampling.choice)
}

export const biasedToken = (sampling: EngineSampling): number | null => {
  let best: { token: number; bias: number } | null = null
  for (const entry of sampling.logitBias) {
    if (entry.bias >= decisiveBias && (best === null || entry.bias > best.bias)) best = entry
  }
  return best === null ? null : best.token
}

export const tokenAt = (
  vocabulary: ScriptedVocabulary,
  key: number,
  position: number,
  isBanned: (id: number) => boolean,
): number => {
  const { vocabSize, firstId } = vocabulary
  let id = firstId + (mix(key, position) % (vocabSize - firstId))
  // At most every id is tried once: a vocabulary that is banned whole yields its last try.
  for (let tries = 0; tries < vocabSize && isBanned(id); tries++)
    id = id + 1 < vocabSize ? id + 1 : 0
  return id
}

/** Plausible and reproducible, not meaningful: best first, the chosen token leads. */
export const scoreOf = (id: number, top: number, vocabSize: number): TokenLogprob => ({
  logprob: Math.fround(-0.25),
  top: Array.from({ length: Math.min(top, vocabSize) }, (_, k) => ({
    id: (id + k) % vocabSize,
    logprob: Math.fround(-0.25 - k),
  })),
})
