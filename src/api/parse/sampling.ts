// How tokens are drawn and where a choice ends: the body's fields with their defaults (the model's
// generation_config.json, then OpenAI's), and the bounds that only configuration and model know.
import { Effect, Random } from "effect"
import type { LogitBias, Sampling } from "../../../schemas/types.ts"
import { apiError, type ApiError } from "../errors.ts"
import type { ParseContext } from "./context.ts"
import { wrongValue } from "./decode.ts"
import type { GenerationBody } from "./fields.ts"

/** Of one stop string: text that may yet become one is held back, and this bounds how much. */
const stopCharactersMax = 1024

/** More entries are refused: each one is applied at every token. */
const logitBiasMax = 1024

/** What each dialect says in its own way. */
export interface DialectSampling {
  readonly maxTokens: number
  /** -1: none. */
  readonly logprobs: number
  readonly promptLogprobs: number
}

const parseStop = (
  stop: string | ReadonlyArray<string> | undefined,
  stopStringsMax: number,
): Effect.Effect<ReadonlyArray<string>, ApiError> => {
  const strings = stop === undefined ? [] : typeof stop === "string" ? [stop] : stop
  if (strings.length > stopStringsMax) {
    return Effect.fail(wrongValue("stop", `at most ${stopStringsMax} strings`, strings))
  }
  for (const [index, string] of strings.entries()) {
    if (string.length === 0 || string.length > stopCharactersMax) {
      const param = typeof stop === "string" ? "stop" : `stop[${index}]`
      const allowed = `a string of 1 to ${stopCharactersMax} characters`
      return Effect.fail(wrongValue(param, allowed, string))
    }
  }
  return Effect.succeed(strings.map((string) => string.toWellFormed()))
}

/** JSON has text keys only: "50256" is the token id 50256. */
const parseLogitBias = (
  biases: Readonly<Record<string, number>> | undefined,
  vocabSize: number,
): Effect.Effect<ReadonlyArray<LogitBias>, ApiError> => {
  const entries = Object.entries(biases ?? {})
  if (entries.length > logitBiasMax) {
    return Effect.fail(
      apiError(
        "invalidValue",
        `logit_bias must have at most ${logitBiasMax} entries, found ${entries.length}.`,
        { param: "logit_bias" },
      ),
    )
  }
  const parsed: Array<LogitBias> = []
  for (const [key, bias] of entries) {
    const token = /^\d{1,10}$/.test(key) ? Number(key) : -1
    if (token < 0 || token >= vocabSize) {
      const allowed = `keyed by token ids from 0 to ${vocabSize - 1}`
      return Effect.fail(wrongValue("logit_bias", allowed, key))
    }
    parsed.push({ token, bias })
  }
  return Effect.succeed(parsed)
}

const parseStopTokenIds = (
  ids: ReadonlyArray<number>,
  vocabSize: number,
): Effect.Effect<ReadonlyArray<number>, ApiError> => {
  const wrong = ids.findIndex((id) => id >= vocabSize)
  if (wrong < 0) return Effect.succeed(ids)
  const allowed = `a token id from 0 to ${vocabSize - 1}`
  return Effect.fail(wrongValue(`stop_token_ids[${wrong}]`, allowed, ids[wrong]))
}

/** 53 bits, so that the number survives JSON and Avro longs alike. */
const drawSeed = Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)

const keyDigits = 13

/** Drawn from the idempotency key, so that two gateways asked under it make one request. */
const seedFor = ({ idempotency }: ParseContext["caller"]) =>
  idempotency === null
    ? drawSeed
    : Effect.succeed(parseInt(idempotency.key.slice(0, keyDigits), 16))

/** A top_p of 0 keeps only the most likely token, which is what a top_k of 1 says exactly. */
const nucleus = (topP: number, topK: number, vocabSize: number) =>
  topP === 0 ? { topP: 1, topK: 1 } : { topP, topK: Math.min(Math.max(0, topK), vocabSize) }

const temperatureMin = 0.01

/** Logits divided by less would leave the range of float32; as in vLLM, close to 0 means 0. */
const steady = (temperature: number): number =>
  temperature < 1e-5 ? 0 : Math.max(temperature, temperatureMin)

export const parseSampling = Effect.fnUntraced(function* (
  body: GenerationBody,
  context: ParseContext,
  own: DialectSampling,
): Effect.fn.Return<Sampling, ApiError> {
  const { model, generationDefaults: preset } = context.tokenizer
  const minTokens = body.min_tokens ?? 0
  if (minTokens > own.maxTokens) {
    const allowed = `at most max_tokens (${own.maxTokens})`
    return yield* wrongValue("min_tokens", allowed, minTokens)
  }
  return {
    ...own,
    ...nucleus(body.top_p ?? preset.topP ?? 1, body.top_k ?? preset.topK ?? 0, model.vocabSize),
    minTokens,
    temperature: steady(body.temperature ?? preset.temperature ?? 1),
    minP: body.min_p ?? preset.minP ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    repetitionPenalty: body.repetition_penalty ?? preset.repetitionPenalty ?? 1,
    logitBias: yield* parseLogitBias(body.logit_bias, model.vocabSize),
    seed: body.seed ?? (yield* seedFor(context.caller)),
    stop: yield* parseStop(body.stop, context.limits.stopStringsMax),
    stopTokenIds: yield* parseStopTokenIds(body.stop_token_ids ?? [], model.vocabSize),
    ignoreEos: body.ignore_eos ?? false,
    skipSpecialTokens: body.skip_special_tokens ?? true,
    includeStop: body.include_stop_str_in_output ?? false,
  }
})
