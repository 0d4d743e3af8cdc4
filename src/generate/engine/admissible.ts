// Which sequences an engine takes at all: the checks that need no state.
// native/engine/submission.cc decides the same for the native engine; the contract suite holds both
// to it.
import type { EngineSequence, SubmitRefusal } from "./Engine.ts"

export interface SubmitLimits {
  readonly vocabSize: number
  readonly contextTokensMax: number
  /** KV positions that the pool holds in all. */
  readonly positionsMax: number
}

const u32Max = 2 ** 32 - 1

export const admissible = (
  sequence: EngineSequence,
  limits: SubmitLimits,
): Extract<SubmitRefusal, "invalid" | "tooLong"> | null => {
  const { promptIds, generatedIds, sampling } = sequence
  if (!isCount(sequence.sequence) || !isCount(sampling.maxTokens)) return "invalid"
  if (promptIds.length === 0) return "invalid"
  if (!allBelow(promptIds, limits.vocabSize)) return "invalid"
  if (!allBelow(generatedIds, limits.vocabSize)) return "invalid"
  // The last token drawn is never fed, so it takes no KV position.
  const tokens = promptIds.length + Math.max(sampling.maxTokens, generatedIds.length)
  if (tokens > limits.contextTokensMax) return "tooLong"
  if (tokens - 1 > limits.positionsMax) return "tooLong"
  return null
}

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= u32Max

const allBelow = (ids: ArrayLike<number>, end: number): boolean => {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    if (id === undefined || !Number.isInteger(id) || id < 0 || id >= end) return false
  }
  return true
}
