// POST /v1/ui/chat: what the Vercel AI SDK's useChat sends by its default transport, a conversation
// of UI messages under the chat's id; generation fields stand beside it, as its `body` option puts
// them. Text parts count; the marks between steps and earlier reasoning are left out.
import { Effect, Predicate, Schema, Struct } from "effect"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import type { TokenizerError } from "../../tokenizer/Tokenizer.ts"
import { apiError, type ApiError } from "../errors.ts"
import { renderMessages } from "./chat.ts"
import type { ParseContext } from "./context.ts"
import { decoder, wrongValue } from "./decode.ts"
import { checkModel, makeDraft } from "./draft.ts"
import { generationFields } from "./fields.ts"
import { fitTokens } from "./length.ts"
import { parseSampling } from "./sampling.ts"
import { logUnknownFields, refuseUnsupported, unsupportedInChat } from "./unsupported.ts"

const chatIdCharactersMax = 128
const idExpected = `a string of 1 to ${chatIdCharactersMax} characters`
const partsExpected = "an array of parts"

const UiMessage = Schema.Struct({
  role: Schema.String.annotate({ expected: "a string" }),
  parts: Schema.Array(Schema.Unknown).annotate({ expected: partsExpected }),
})

const fields = {
  ...Struct.omit(generationFields, ["n", "stream", "stream_options"]),
  id: Schema.String.annotate({ expected: idExpected, description: "The chat's." }).check(
    Schema.isBetweenLength(1, chatIdCharactersMax, { expected: idExpected }),
  ),
  messages: Schema.Array(UiMessage).annotate({ expected: "an array of UI messages" }),
  trigger: Schema.optionalKey(Schema.Unknown),
  messageId: Schema.optionalKey(Schema.Unknown),
} as const

export const UiBody = Schema.Struct(fields).annotate({ identifier: "UiBody" })

const decode = decoder(UiBody)

/** Of earlier answers: nothing that a model is told again. */
const unspoken = new Set<unknown>(["step-start", "reasoning", "source-url", "source-document"])

const partText = (part: unknown, param: string): Effect.Effect<string, ApiError> => {
  if (!Predicate.isObject(part) || !("type" in part)) {
    return Effect.fail(wrongValue(param, "a part of a UI message", part))
  }
  const text = "text" in part ? part.text : undefined
  if (part.type === "text") {
    return typeof text === "string"
      ? Effect.succeed(text)
      : Effect.fail(wrongValue(`${param}.text`, "a string", text))
  }
  if (unspoken.has(part.type)) return Effect.succeed("")
  const message = `${param}: only text parts are supported by this server.`
  return Effect.fail(apiError("unsupported", message, { param }))
}

export const parseUi = Effect.fn("Api.parseUi")(function* (
  input: unknown,
  context: ParseContext,
): Effect.fn.Return<RequestDraft, ApiError | TokenizerError> {
  yield* refuseUnsupported(input, unsupportedInChat)
  const body = yield* decode(input)
  yield* checkModel(body.model, context)
  const messages = yield* Effect.forEach(body.messages, ({ role, parts }, at) =>
    Effect.map(
      Effect.forEach(parts, (part, index) => partText(part, `messages[${at}].parts[${index}]`)),
      (texts) => ({ role, content: texts.join("") }),
    ),
  )
  const ids = yield* renderMessages({ messages }, context)
  const { contextTokensMax } = context.model
  const maxTokens = yield* fitTokens({
    promptTokens: ids.length,
    contextTokensMax,
    maxTokens: body.max_tokens,
    fallback: context.tokenizer.generationDefaults.maxTokens ?? contextTokensMax,
    param: "messages",
  })
  const own = { maxTokens, logprobs: -1, promptLogprobs: -1 }
  const sampling = yield* parseSampling(body, context, own)
  yield* logUnknownFields(input, fields)
  const chatId = body.id.toWellFormed()
  // A chat's turns share their beginning: one key brings them to one worker's prefix cache.
  return yield* makeDraft({ prompt_cache_key: chatId, ...body }, context, {
    dialect: "ui",
    prompts: { ids: [ids], texts: [] },
    sampling,
    stream: true,
    echo: false,
    clientId: chatId,
  })
})
