// POST /v1/responses: text or messages in, after those of an earlier response, through the model's
// chat template. Tools, other media and structured output are refused by name. What the response
// object shows again goes into the request, so that any relay can show it.
import { Effect, Predicate, Schema, Struct } from "effect"
import type { ConversationTurn, ResponseOptions } from "../../../schemas/types.ts"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import { apiError, type ApiError, type Failure } from "../errors.ts"
import { checkLogprobs } from "./completions.ts"
import type { ParseContext } from "./context.ts"
import { decoder, wrongValue } from "./decode.ts"
import { checkModel, makeDraft } from "./draft.ts"
import { flag, generationFields, integer, text } from "./fields.ts"
import { ofFormat } from "./grammar.ts"
import { fitTokens } from "./length.ts"
import { MessageSchema, parseMessages } from "./messages.ts"
import { parseSampling } from "./sampling.ts"
import { logUnknownFields, refuseUnsupported, unsupportedInResponses } from "./unsupported.ts"

const metadataMax = 16
const keyCharactersMax = 64
const valueCharactersMax = 512
const metadataExpected =
  `an object of at most ${metadataMax} texts of at most ${valueCharactersMax} characters, ` +
  `under names of at most ${keyCharactersMax}`

const InputSchema = Schema.Union([Schema.String, Schema.Array(MessageSchema)]).annotate({
  description: "Text, or messages of text parts.",
})

const fields = {
  ...Struct.omit(generationFields, ["n", "max_tokens", "stream_options", "response_format"]),
  text: Schema.optionalKey(
    Schema.Struct({ format: Schema.optionalKey(Schema.NullOr(Schema.Unknown)) }).annotate({
      expected: "an object",
      description: "format: text, json_object, or json_schema with its schema.",
    }),
  ),
  instructions: text("A system message before the input; not carried over to a next response."),
  max_output_tokens: integer(1, Number.MAX_SAFE_INTEGER, "Tokens of the answer at most."),
  metadata: Schema.optionalKey(
    Schema.Record(
      Schema.String,
      Schema.String.annotate({ expected: metadataExpected }).check(
        Schema.isMaxLength(valueCharactersMax, { expected: metadataExpected }),
      ),
    ).annotate({ expected: metadataExpected, description: "Shown again with the response." }),
  ),
  background: flag("Answer at once with the response as it stands; it goes on without a client."),
  store: flag("Keep the response for GET /v1/responses/{id} (default true)."),
  previous_response_id: text("Go on after this response, which must be stored and complete."),
  top_logprobs: integer(0, Number.MAX_SAFE_INTEGER, "How many alternatives of each token."),
  include: Schema.optionalKey(
    Schema.Array(Schema.String.annotate({ expected: "a string" })).annotate({
      expected: "an array of strings",
      description: '"message.output_text.logprobs" adds log probabilities; others add nothing.',
    }),
  ),
} as const

const Body = Schema.Struct({ ...fields, input: Schema.optionalKey(Schema.Unknown) })

export const ResponsesBody = Schema.Struct({ ...fields, input: InputSchema }).annotate({
  identifier: "ResponsesBody",
})

const decode = decoder(Body)
const decodeItems = decoder(Schema.Struct({ input: Schema.Array(MessageSchema) }))

const plainText = { type: "text" }

const logprobsIncluded = "message.output_text.logprobs"

/** The text of an answer's own parts comes back as input of the next turn. */
const parseInput = Effect.fnUntraced(function* (
  input: unknown,
): Effect.fn.Return<ReadonlyArray<ConversationTurn>, ApiError> {
  if (input === undefined || input === null) {
    return yield* apiError("missing", "input is required.", { param: "input" })
  }
  if (typeof input === "string") return [{ role: "user", content: input.toWellFormed() }]
  if (!Array.isArray(input)) return yield* wrongValue("input", "a text or an array", input)
  for (const [index, item] of input.entries()) {
    const type: unknown = Predicate.hasProperty(item, "type") ? item.type : "message"
    if (type === "message" || type === null) continue
    const param = `input[${index}]`
    const message = `${param}: only messages are supported by this server.`
    return yield* apiError("unsupported", message, { param })
  }
  const decoded = yield* decodeItems({ input })
  const messages = yield* parseMessages(decoded.input, "input")
  return messages.map(({ role, content }) => ({ role, content }))
})

const parseMetadata = (
  metadata: Readonly<Record<string, string>> | undefined,
): Effect.Effect<ResponseOptions["metadata"], ApiError> => {
  const entries = Object.entries(metadata ?? {})
  return entries.length > metadataMax || entries.some(([key]) => key.length > keyCharactersMax)
    ? Effect.fail(wrongValue("metadata", metadataExpected, metadata))
    : Effect.succeed(
        entries.map(([key, value]) => ({
          key: key.toWellFormed(),
          value: value.toWellFormed(),
        })),
      )
}

const checkStored = (body: typeof Body.Type): Effect.Effect<void, ApiError> =>
  body.background === true && body.store === false
    ? Effect.fail(
        apiError("invalidValue", "A background response must be stored.", { param: "store" }),
      )
    : Effect.void

/** What was said up to and with an earlier response, by its id. */
export type TurnsUpTo<R> = (
  responseId: string,
) => Effect.Effect<ReadonlyArray<ConversationTurn>, Failure, R>

const parseLogprobs = (body: typeof Body.Type, context: ParseContext) =>
  body.top_logprobs === undefined && !(body.include ?? []).includes(logprobsIncluded)
    ? Effect.succeed(-1)
    : checkLogprobs(body.top_logprobs ?? 0, "top_logprobs", context)

export const parseResponses = Effect.fnUntraced(function* <R>(
  input: unknown,
  context: ParseContext,
  turnsUpTo: TurnsUpTo<R>,
): Effect.fn.Return<RequestDraft, Failure, R> {
  yield* refuseUnsupported(input, unsupportedInResponses)
  const body = yield* decode(input)
  yield* checkModel(body.model, context)
  yield* checkStored(body)
  const asked = yield* parseInput(body.input)
  const metadata = yield* parseMetadata(body.metadata)
  const logprobs = yield* parseLogprobs(body, context)
  const { previous_response_id: previous } = body
  const earlier = previous === undefined ? [] : yield* turnsUpTo(previous)
  const conversation = [...earlier, ...asked]
  const instructions = body.instructions?.toWellFormed() ?? null
  const messages =
    instructions === null
      ? conversation
      : [{ role: "system", content: instructions }, ...conversation]
  const { tokenizer } = context
  const prompt = yield* tokenizer.renderChat(
    messages.map(({ role, content }) => ({ role, content })),
    { addGenerationPrompt: true, tools: null, variables: {} },
  )
  const ids = yield* tokenizer.encode(prompt, false)
  const { contextTokensMax } = context.model
  const maxTokens = yield* fitTokens({
    promptTokens: ids.length,
    contextTokensMax,
    maxTokens: body.max_output_tokens,
    fallback: tokenizer.generationDefaults.maxTokens ?? contextTokensMax,
    param: "input",
  })
  const sampling = yield* parseSampling(body, context, { maxTokens, logprobs, promptLogprobs: -1 })
  yield* logUnknownFields(input, { ...fields, input: true })
  const store = body.store ?? true
  const background = body.background ?? false
  const draft = yield* makeDraft(body, context, {
    dialect: "responses",
    prompts: { ids: [ids], texts: [] },
    sampling,
    stream: body.stream ?? false,
    echo: false,
    clientId: null,
    grammar: yield* ofFormat(body.text?.format, "text.format"),
    textFormat: JSON.stringify(body.text?.format ?? plainText),
    response: {
      background,
      store,
      instructions,
      previousResponseId: previous ?? null,
      maxOutputTokens: body.max_output_tokens ?? null,
      metadata,
      conversation: store ? conversation : [],
    },
  })
  // It was asked to go on without a client.
  const answer = { ...draft.answer, cancelOnDisconnect: false }
  return background ? { ...draft, answer } : draft
})
