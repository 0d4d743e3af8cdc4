// POST /v1/chat/completions: messages through the model's chat template.
import { Effect, Schema } from "effect"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import type { TokenizerError } from "../../tokenizer/Tokenizer.ts"
import { apiError, type ApiError } from "../errors.ts"
import { checkLogprobs } from "./completions.ts"
import type { ParseContext } from "./context.ts"
import { decoder } from "./decode.ts"
import { checkChoices, checkModel, makeDraft } from "./draft.ts"
import { flag, generationFields, integer } from "./fields.ts"
import { fitTokens } from "./length.ts"
import { askedGrammar } from "./grammar.ts"
import { MessageSchema, parseMessages } from "./messages.ts"
import { parseSampling } from "./sampling.ts"
import { type AskedTools, checkNoFormat, parseTools, toolFields } from "./tools.ts"
import { logUnknownFields, refuseUnsupported, unsupportedInChat } from "./unsupported.ts"

/** What chat and /tokenize give to the template. */
export const templateFields = {
  messages: Schema.Array(MessageSchema).annotate({ expected: "an array of messages" }),
  add_generation_prompt: flag("End the prompt with the assistant's turn (default true)."),
  add_special_tokens: flag("Add special tokens besides the template's (default false)."),
  chat_template_kwargs: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.Unknown).annotate({
      expected: "an object",
      description: "Further variables of the chat template.",
    }),
  ),
} as const

const fields = {
  ...generationFields,
  ...toolFields,
  ...templateFields,
  max_completion_tokens: integer(
    1,
    Number.MAX_SAFE_INTEGER,
    "Tokens of a choice at most; wins over max_tokens.",
  ),
  logprobs: flag("Log probabilities of the output's tokens."),
  top_logprobs: integer(0, Number.MAX_SAFE_INTEGER, "How many alternatives, with logprobs."),
} as const

export const ChatBody = Schema.Struct(fields).annotate({ identifier: "ChatBody" })

const decode = decoder(ChatBody)

const TemplateBody = Schema.Struct(templateFields)

/** Set from fields of their own; as template variables they would contradict those. */
const reservedVariables = ["messages", "tools", "add_generation_prompt", "chat_template"]

export const renderMessages = Effect.fnUntraced(function* (
  body: typeof TemplateBody.Type,
  context: ParseContext,
  asked: AskedTools | null = null,
): Effect.fn.Return<ReadonlyArray<number>, ApiError | TokenizerError> {
  const variables = body.chat_template_kwargs ?? {}
  const reserved = reservedVariables.find((name) => Object.hasOwn(variables, name))
  if (reserved !== undefined) {
    const param = `chat_template_kwargs.${reserved}`
    return yield* apiError("invalidValue", `${param} cannot be set.`, { param })
  }
  const messages = yield* parseMessages(body.messages)
  const prompt = yield* context.tokenizer.renderChat(asked?.tell(messages) ?? messages, {
    addGenerationPrompt: body.add_generation_prompt ?? true,
    tools: asked?.forTemplate ?? null,
    variables,
  })
  return yield* context.tokenizer.encode(prompt, body.add_special_tokens ?? false)
})

/** -1 for none; OpenAI's pair of a switch and a count. */
const parseLogprobs = (
  body: typeof ChatBody.Type,
  context: ParseContext,
): Effect.Effect<number, ApiError> => {
  if (body.logprobs === true) {
    return checkLogprobs(body.top_logprobs ?? 0, "top_logprobs", context)
  }
  if (body.top_logprobs === undefined) return Effect.succeed(-1)
  const message = "top_logprobs is only allowed when logprobs is true."
  return Effect.fail(apiError("invalidValue", message, { param: "top_logprobs" }))
}

export const parseChat = Effect.fnUntraced(function* (
  input: unknown,
  context: ParseContext,
): Effect.fn.Return<RequestDraft, ApiError | TokenizerError> {
  yield* refuseUnsupported(input, unsupportedInChat)
  const body = yield* decode(input)
  yield* checkModel(body.model, context)
  yield* checkChoices(body.n ?? 1, 1, context)
  const logprobs = yield* parseLogprobs(body, context)
  const asked = yield* parseTools(body, context)
  yield* checkNoFormat(asked, yield* askedGrammar(body))
  const ids = yield* renderMessages(body, context, asked)
  const { contextTokensMax } = context.model
  const maxTokens = yield* fitTokens({
    promptTokens: ids.length,
    contextTokensMax,
    maxTokens: body.max_completion_tokens ?? body.max_tokens,
    fallback: context.tokenizer.generationDefaults.maxTokens ?? contextTokensMax,
    param: "messages",
  })
  const own = { maxTokens, logprobs, promptLogprobs: -1 }
  const drawn = yield* parseSampling(body, context, own)
  // Mistral's mark of a call is a special token.
  const sampling =
    asked?.tools.format === "mistral" ? { ...drawn, skipSpecialTokens: false } : drawn
  yield* logUnknownFields(input, fields)
  return yield* makeDraft(body, context, {
    dialect: "chat",
    prompts: { ids: [ids], texts: [] },
    sampling,
    stream: body.stream ?? false,
    echo: false,
    clientId: null,
    tools: asked?.tools ?? null,
    grammar: asked?.grammar ?? null,
  })
})
