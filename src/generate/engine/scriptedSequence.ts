// One sequence of the scripted engine: what it says next and when it ends. The rules of ending are
// the native engine's (native/engine/finish.cc).
import type { TokenLogprob } from "../../../schemas/types.ts"
import type { EngineSequence } from "./Engine.ts"
import { biasedToken, scoreOf, scriptKey, tokenAt } from "./scriptedTokens.ts"
import type { StepEntry, StepFinish } from "./stepOutput.ts"

export interface ScriptedSequence {
  readonly source: EngineSequence
  readonly key: number
  readonly promptTokens: number
  readonly biased: number | null
  readonly stopIds: ReadonlySet<number>
  /** Output tokens so far, adopted ones included. */
  position: number
  /** Set by cancel or a forced failure; the next step reports it. */
  endBy: StepFinish | null
  promptScored: boolean
}

export interface ScriptRules {
  readonly vocabSize: number
  readonly firstId: number
  readonly eosIds: ReadonlyArray<number>
  readonly tokensPerStep: number
}

export const startScript = (source: EngineSequence): ScriptedSequence => ({
  source,
  key: scriptKey(source.promptIds, source.sampling),
  promptTokens: source.promptIds.length,
  biased: biasedToken(source.sampling),
  stopIds: new Set(source.sampling.stopTokenIds),
  position: source.generatedIds.length,
  endBy: null,
  promptScored: source.sampling.promptLogprobs < 0,
})

interface Ending {
  readonly finish: StepFinish
  readonly stopToken: number | null
}

/** How it stands before another token: an adopted sequence may already be at its end. */
export const endedBefore = (script: ScriptedSequence, rules: ScriptRules): Ending | null => {
  if (script.endBy !== null) return { finish: script.endBy, stopToken: null }
  const { generatedIds, sampling } = script.source
  const last = generatedIds[script.position - 1]
  if (last !== undefined) return endingAt(script, rules, last)
  return script.position >= sampling.maxTokens ? { finish: "length", stopToken: null } : null
}

/** `id` is the token at position - 1. Below min_tokens nothing but the length ends. */
const endingAt = (script: ScriptedSequence, rules: ScriptRules, id: number): Ending | null => {
  const { sampling } = script.source
  if (script.position > sampling.minTokens) {
    if (!sampling.ignoreEos && rules.eosIds.includes(id)) return { finish: "stop", stopToken: null }
    if (script.stopIds.has(id)) return { finish: "stop", stopToken: id }
  }
  return script.position >= sampling.maxTokens ? { finish: "length", stopToken: null } : null
}

/** The sequence's entry for one step. */
export const advance = (script: ScriptedSequence, rules: ScriptRules): StepEntry => {
  const position = script.position
  const { sampling } = script.source
  const ids: Array<number> = []
  let ending = endedBefore(script, rules)
  const isScored = script.endBy === null && !script.promptScored
  while (ending === null && ids.length < rules.tokensPerStep) {
    const id = draw(script, rules)
    ids.push(id)
    script.position++
    ending = endingAt(script, rules, id)
  }
  script.promptScored ||= isScored
  return {
    sequence: script.source.sequence,
    finish: ending === null ? null : ending.finish,
    stopToken: ending === null ? null : ending.stopToken,
    position,
    ids,
    cachedTokens: 0,
    logprobs: sampling.logprobs >= 0 ? ids.map((id) => score(rules, id, sampling.logprobs)) : null,
    promptLogprobs: isScored ? promptScores(script, rules) : null,
  }
}

const draw = (script: ScriptedSequence, rules: ScriptRules): number => {
  const { sampling } = script.source
  const mayEnd = script.position >= sampling.minTokens
  const isEnd = (id: number) =>
    script.stopIds.has(id) || (!sampling.ignoreEos && rules.eosIds.includes(id))
  if (script.biased !== null && (mayEnd || !isEnd(script.biased))) return script.biased
  return tokenAt(rules, script.key, script.position, (id) =>
    mayEnd ? rules.eosIds.includes(id) : isEnd(id),
  )
}

const score = (rules: ScriptRules, id: number, top: number): TokenLogprob =>
  scoreOf(id, top, rules.vocabSize)

const promptScores = (
  script: ScriptedSequence,
  rules: ScriptRules,
): ReadonlyArray<TokenLogprob> => {
  const { promptIds, sampling } = script.source
  return Array.from({ length: promptIds.length - 1 }, (_, i) =>
    score(rules, promptIds[i + 1] ?? 0, sampling.promptLogprobs),
  )
}
