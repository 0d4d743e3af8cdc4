// Which sequences an engine takes at all: the checks that need no state, the same for both engines.
// Records come from anyone who may write to the request log, so nothing about them is taken on
// trust; native/engine/submission.cc checks again what could harm the native engine.
import type { EngineSampling, EngineSequence, SubmitRefusal } from "./Engine.ts"

export interface SubmitLimits {
  readonly vocabSize: number
  readonly contextTokensMax: number
  /** KV positions that the pool holds in all. */
  readonly positionsMax: number
}

const u32Max = 2 ** 32 - 1
const i32Max = 2 ** 31 - 1

export const admissible = (
  sequence: EngineSequence,
  limits: SubmitLimits,
): Extract<SubmitRefusal, "invalid" | "tooLong"> | null => {
  const { promptIds, generatedIds, sampling } = sequence
  const hasValidFields =
    isCount(sequence.sequence) &&
    isIntegerWithin(sequence.priority, -i32Max, i32Max) &&
    isIntegerWithin(sequence.arrivedAt, 0, Number.MAX_SAFE_INTEGER)
  if (!hasValidFields || !isValidSampling(sampling, limits.vocabSize)) return "invalid"
  if (promptIds.length === 0) return "invalid"
  if (!allBelow(promptIds, limits.vocabSize)) return "invalid"
  if (!allBelow(generatedIds, limits.vocabSize)) return "invalid"
  // The last token drawn is never fed, so it takes no KV position.
  const tokens = promptIds.length + Math.max(sampling.maxTokens, generatedIds.length)
  if (tokens > limits.contextTokensMax) return "tooLong"
  if (tokens - 1 > limits.positionsMax) return "tooLong"
  return null
}

const isValidSampling = (sampling: EngineSampling, vocabSize: number): boolean =>
  isCount(sampling.maxTokens) &&
  isCount(sampling.minTokens) &&
  isCount(sampling.topK) &&
  isCount(sampling.choice) &&
  isWithin(sampling.temperature, 0, Number.MAX_VALUE) &&
  isWithin(sampling.topP, 0, 1) &&
  isWithin(sampling.minP, 0, 1) &&
  Number.isFinite(sampling.presencePenalty) &&
  Number.isFinite(sampling.frequencyPenalty) &&
  isWithin(sampling.repetitionPenalty, Number.MIN_VALUE, Number.MAX_VALUE) &&
  Number.isSafeInteger(sampling.seed) &&
  isIntegerWithin(sampling.logprobs, -1, i32Max) &&
  isIntegerWithin(sampling.promptLogprobs, -1, i32Max) &&
  sampling.stopTokenIds.every(isCount) &&
  sampling.logitBias.every(
    ({ token, bias }) => isIntegerWithin(token, 0, vocabSize - 1) && Number.isFinite(bias),
  )

const isWithin = (value: number, low: number, high: number): boolean =>
  value >= low && value <= high

const isIntegerWithin = (value: number, low: number, high: number): boolean =>
  Number.isInteger(value) && isWithin(value, low, high)

const isCount = (value: number): boolean => isIntegerWithin(value, 0, u32Max)

const allBelow = (ids: ArrayLike<number>, end: number): boolean => {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    if (id === undefined || !isIntegerWithin(id, 0, end - 1)) return false
  }
  return true
}
