// POST /v1/completions: the seed's and OpenAI's text completion.
import { Effect, Schema } from "effect"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import type { TokenizerError } from "../../tokenizer/Tokenizer.ts"
import type { ApiError } from "../errors.ts"
import { apiError } from "../errors.ts"
import type { ParseContext } from "./context.ts"
import { decoder, wrongValue } from "./decode.ts"
import { checkChoices, checkModel, makeDraft } from "./draft.ts"
import { flag, generationFields, integer } from "./fields.ts"
import { fitTokens } from "./length.ts"
import { longest, parsePrompts, PromptSchema } from "./prompt.ts"
import { parseSampling } from "./sampling.ts"
import { logUnknownFields, refuseUnsupported, unsupportedInCompletions } from "./unsupported.ts"

/** OpenAI's default where a completion asks for no length. */
const maxTokensDefault = 16

const fields = {
  ...generationFields,
  max_tokens: integer(0, Number.MAX_SAFE_INTEGER, "Tokens of a choice at most; 0 with echo only."),
  best_of: integer(1, Number.MAX_SAFE_INTEGER, "Supported only where it equals n."),
  echo: flag("The answer's text starts with the prompt."),
  logprobs: integer(0, Number.MAX_SAFE_INTEGER, "Log probabilities of the k likeliest tokens."),
  add_special_tokens: flag("Put the model's beginning-of-text token first (default true)."),
} as const

const decode = decoder(Schema.Struct({ ...fields, prompt: Schema.optionalKey(Schema.Unknown) }))

export const CompletionsBody = Schema.Struct({ ...fields, prompt: PromptSchema }).annotate({
  identifier: "CompletionsBody",
})

/** -1 for none; bounded by configuration. */
export const checkLogprobs = (
  asked: number | undefined,
  param: string,
  context: ParseContext,
): Effect.Effect<number, ApiError> => {
  const { logprobsMax } = context.limits
  return asked !== undefined && asked > logprobsMax
    ? Effect.fail(wrongValue(param, `at most ${logprobsMax}`, asked))
    : Effect.succeed(asked ?? -1)
}

export const parseCompletions = Effect.fnUntraced(function* (
  input: unknown,
  context: ParseContext,
): Effect.fn.Return<RequestDraft, ApiError | TokenizerError> {
  yield* refuseUnsupported(input, unsupportedInCompletions)
  const body = yield* decode(input)
  yield* checkModel(body.model, context)
  if (body.best_of !== undefined && body.best_of !== (body.n ?? 1)) {
    const message = "best_of is supported only where it equals n."
    return yield* apiError("unsupported", message, { param: "best_of" })
  }
  if (body.max_tokens === 0 && body.echo !== true) {
    return yield* wrongValue("max_tokens", "at least 1, or 0 with echo", 0)
  }
  const logprobs = yield* checkLogprobs(body.logprobs, "logprobs", context)
  const echo = body.echo ?? false
  const prompts = yield* parsePrompts(body.prompt, context, {
    addSpecialTokens: body.add_special_tokens ?? true,
    withTexts: echo,
  })
  yield* checkChoices(body.n ?? 1, prompts.ids.length, context)
  const maxTokens = yield* fitTokens({
    promptTokens: longest(prompts.ids),
    contextTokensMax: context.model.contextTokensMax,
    maxTokens: body.max_tokens,
    fallback: maxTokensDefault,
    param: "prompt",
  })
  const promptLogprobs = echo ? logprobs : -1
  const sampling = yield* parseSampling(body, context, { maxTokens, logprobs, promptLogprobs })
  yield* logUnknownFields(input, { ...fields, prompt: true })
  const stream = body.stream ?? false
  return yield* makeDraft(body, context, {
    dialect: "completions",
    prompts,
    sampling,
    stream,
    echo,
    clientId: null,
  })
})
