// The prompt of completions: text, token ids, or an array of either, to one array of ids a prompt.
// Ids are checked here one by one in a plain loop: a body may hold a million of them.
import { Effect, Schema } from "effect"
import type { TokenizerError } from "../../tokenizer/Tokenizer.ts"
import { apiError, type ApiError } from "../errors.ts"
import type { ParseContext } from "./context.ts"
import { wrongValue } from "./decode.ts"

export interface Prompts {
  readonly ids: ReadonlyArray<ReadonlyArray<number>>
  /** The same as text, for echo; empty unless asked for. */
  readonly texts: ReadonlyArray<string>
}

/** How the prompt is documented; decoding goes through parsePrompts. */
export const PromptSchema = Schema.Union([
  Schema.String,
  Schema.Array(Schema.Int),
  Schema.Array(Schema.String),
  Schema.Array(Schema.Array(Schema.Int)),
]).annotate({ description: "Text, token ids, or an array of either." })

const allowed = "a string, an array of token ids, or an array of either"

type Prompt = string | ReadonlyArray<number>

const isId = (id: unknown, vocabSize: number): id is number =>
  typeof id === "number" && Number.isInteger(id) && id >= 0 && id < vocabSize

/** The list itself, if every entry is an id of the vocabulary. */
export const checkIds = (
  ids: ReadonlyArray<unknown>,
  param: string,
  vocabSize: number,
): Effect.Effect<ReadonlyArray<number>, ApiError> => {
  if (ids.every((id) => isId(id, vocabSize))) return Effect.succeed(ids)
  const index = ids.findIndex((id) => !isId(id, vocabSize))
  const allowedId = `a token id from 0 to ${vocabSize - 1}`
  return Effect.fail(wrongValue(`${param}[${index}]`, allowedId, ids[index]))
}

const checkOne = (
  prompt: unknown,
  param: string,
  vocabSize: number,
): Effect.Effect<Prompt, ApiError> => {
  if (typeof prompt === "string") return Effect.succeed(prompt.toWellFormed())
  if (Array.isArray(prompt)) return checkIds(prompt, param, vocabSize)
  return Effect.fail(wrongValue(param, allowed, prompt))
}

/** The body's form to a list: a lone prompt is a list of one. */
const splitPrompts = (
  prompt: unknown,
  context: ParseContext,
): Effect.Effect<ReadonlyArray<Prompt>, ApiError> => {
  const { vocabSize } = context.tokenizer.model
  if (!Array.isArray(prompt) || typeof prompt[0] === "number") {
    return Effect.map(checkOne(prompt, "prompt", vocabSize), (one) => [one])
  }
  const { promptsMax } = context.limits
  if (prompt.length < 1 || prompt.length > promptsMax) {
    return Effect.fail(wrongValue("prompt", `one to ${promptsMax} prompts`, prompt))
  }
  return Effect.forEach(prompt, (one: unknown, index) =>
    checkOne(one, `prompt[${index}]`, vocabSize),
  )
}

export interface PromptOptions {
  readonly addSpecialTokens: boolean
  readonly withTexts: boolean
}

export const parsePrompts = Effect.fnUntraced(function* (
  prompt: unknown,
  context: ParseContext,
  options: PromptOptions,
): Effect.fn.Return<Prompts, ApiError | TokenizerError> {
  if (prompt === undefined || prompt === null) {
    return yield* apiError("missing", "prompt is required.", { param: "prompt" })
  }
  const { tokenizer } = context
  const prompts = yield* splitPrompts(prompt, context)
  const ids: Array<ReadonlyArray<number>> = []
  for (const one of prompts) {
    const encoded =
      typeof one === "string" ? yield* tokenizer.encode(one, options.addSpecialTokens) : one
    if (encoded.length === 0) return yield* wrongValue("prompt", "at least one token long", one)
    ids.push(encoded)
  }
  const texts = options.withTexts
    ? prompts.map((one) => (typeof one === "string" ? one : tokenizer.decode(one, false)))
    : []
  return { ids, texts }
})

export const longest = (ids: ReadonlyArray<ReadonlyArray<number>>): number =>
  ids.reduce((most, one) => Math.max(most, one.length), 0)
