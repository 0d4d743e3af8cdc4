// A generation message on WS /v1/stream, the seed's dialect: a completion of one prompt, or a chat,
// of one choice, with an optional id that every message of the answer carries.
import { Effect, Predicate, Schema } from "effect"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import type { TokenizerError } from "../../tokenizer/Tokenizer.ts"
import { apiError, type ApiError } from "../errors.ts"
import { parseChat } from "./chat.ts"
import type { ParseContext } from "./context.ts"
import { decoder, wrongValue } from "./decode.ts"
import { checkModel, makeDraft } from "./draft.ts"
import { flag, generationFields, text } from "./fields.ts"
import { fitTokens } from "./length.ts"
import { longest, parsePrompts, PromptSchema } from "./prompt.ts"
import { parseSampling } from "./sampling.ts"
import { logUnknownFields, refuseUnsupported, unsupportedInCompletions } from "./unsupported.ts"

/**
 * The seed's example asks for no length; a conversation piece is longer than OpenAI's 16 tokens.
 */
const maxTokensDefault = 256

const clientIdCharactersMax = 128
const idExpected = `a string of 1 to ${clientIdCharactersMax} characters`

const envelope = {
  type: Schema.optionalKey(Schema.Unknown),
  id: Schema.optionalKey(
    Schema.String.annotate({ expected: idExpected }).check(
      Schema.isBetweenLength(1, clientIdCharactersMax, { expected: idExpected }),
    ),
  ),
  idempotency_key: text("The same key and message: the same request, from its start."),
} as const

const fields = {
  ...generationFields,
  ...envelope,
  add_special_tokens: flag("Put the model's beginning-of-text token first (default true)."),
} as const

export const StreamBody = Schema.Struct({ ...fields, prompt: PromptSchema }).annotate({
  identifier: "StreamBody",
})

const decodeEnvelope = decoder(Schema.Struct(envelope))
const decode = decoder(Schema.Struct({ ...fields, prompt: Schema.optionalKey(Schema.Unknown) }))

const severalChoices = () =>
  apiError("unsupported", "One choice only on this socket.", { param: "n" })

/** A chat as POST /v1/chat/completions takes it, told in this dialect. */
const parseStreamedChat = Effect.fnUntraced(function* (
  input: object,
  context: ParseContext,
): Effect.fn.Return<RequestDraft, ApiError | TokenizerError> {
  const { id } = yield* decodeEnvelope(input)
  const body = Object.fromEntries(Object.entries(input).filter(([name]) => !(name in envelope)))
  const draft = yield* parseChat({ ...body, stream: true }, context)
  if (draft.n !== 1) return yield* severalChoices()
  return { ...draft, answer: { ...draft.answer, clientId: id?.toWellFormed() ?? null } }
})

export const parseStream = Effect.fnUntraced(function* (
  input: unknown,
  context: ParseContext,
): Effect.fn.Return<RequestDraft, ApiError | TokenizerError> {
  if (Predicate.isObject(input) && "messages" in input) {
    return yield* parseStreamedChat(input, context)
  }
  yield* refuseUnsupported(input, unsupportedInCompletions)
  const body = yield* decode(input)
  yield* checkModel(body.model, context)
  if ((body.n ?? 1) !== 1) {
    return yield* severalChoices()
  }
  const prompts = yield* parsePrompts(body.prompt, context, {
    addSpecialTokens: body.add_special_tokens ?? true,
    withTexts: false,
  })
  if (prompts.ids.length !== 1) {
    return yield* wrongValue("prompt", "one prompt on this socket", body.prompt)
  }
  const maxTokens = yield* fitTokens({
    promptTokens: longest(prompts.ids),
    contextTokensMax: context.model.contextTokensMax,
    maxTokens: body.max_tokens,
    fallback: maxTokensDefault,
    param: "prompt",
  })
  const sampling = yield* parseSampling(body, context, {
    maxTokens,
    logprobs: -1,
    promptLogprobs: -1,
  })
  yield* logUnknownFields(input, { ...fields, prompt: true })
  return yield* makeDraft(body, context, {
    dialect: "stream",
    prompts,
    sampling,
    stream: true,
    echo: false,
    clientId: body.id?.toWellFormed() ?? null,
  })
})
