// What all dialects decide alike on the way to a RequestDraft: is the model served, which tier, how
// many choices, how the answer is written.
import { Effect } from "effect"
import type { RequestTools, ResponseOptions, Sampling, Tier } from "../../../schemas/types.ts"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import { apiError, type ApiError } from "../errors.ts"
import type { ParseContext } from "./context.ts"
import { wrongValue } from "./decode.ts"
import type { GenerationBody } from "./fields.ts"
import { askedGrammar, type AskedGrammar, checkGrammar } from "./grammar.ts"
import type { Prompts } from "./prompt.ts"

const modelCharactersShown = 100

export const unknownModel = (name: string, served: string): ApiError =>
  apiError(
    "unknownModel",
    `The model ${JSON.stringify(name.slice(0, modelCharactersShown))} does not exist; ` +
      `this server has ${JSON.stringify(served)}.`,
    { param: "model" },
  )

export const checkModel = (
  name: string | undefined,
  context: ParseContext,
): Effect.Effect<void, ApiError> =>
  name === undefined || name === context.model.name
    ? Effect.void
    : Effect.fail(unknownModel(name, context.model.name))

/** A named tier wins; otherwise vLLM's number says it: below 0 sooner, above 0 later. */
const parseTier = (body: Pick<GenerationBody, "service_tier" | "priority">): Tier => {
  if (body.service_tier !== undefined && body.service_tier !== "auto") return body.service_tier
  const priority = body.priority ?? 0
  return priority < 0 ? "priority" : priority > 0 ? "flex" : "default"
}

export const checkChoices = (
  n: number,
  prompts: number,
  context: ParseContext,
): Effect.Effect<void, ApiError> => {
  const { choicesMax } = context.limits
  if (n * prompts <= choicesMax) return Effect.void
  const each = prompts > 1 ? ` with ${prompts} prompts` : ""
  return Effect.fail(wrongValue("n", `at most ${Math.floor(choicesMax / prompts)}${each}`, n))
}

/** The body's own wins over the header's and the key's. */
const timeoutOf = ({ request_timeout: seconds }: GenerationBody): number | null =>
  seconds === undefined ? null : Math.max(1, Math.round(seconds * 1000))

/** A structure ends where it is whole. */
const checkEnd = (
  body: Pick<GenerationBody, "min_tokens" | "ignore_eos">,
  asked: AskedGrammar | null,
): Effect.Effect<void, ApiError> => {
  if (asked === null) return Effect.void
  const param = (body.min_tokens ?? 0) > 0 ? "min_tokens" : body.ignore_eos ? "ignore_eos" : null
  if (param === null) return Effect.void
  const message = `${param} cannot be given with ${asked.param}, which ends where it is whole.`
  return Effect.fail(apiError("invalidValue", message, { param }))
}

export interface DraftParts {
  readonly dialect: "completions" | "chat" | "stream" | "responses" | "ui"
  readonly prompts: Prompts
  readonly sampling: Sampling
  readonly stream: boolean
  readonly echo: boolean
  readonly clientId: string | null
  /** Of the responses dialect; absent from the others. */
  readonly response?: ResponseOptions
  readonly textFormat?: string
  /** Of a dialect with tools. */
  readonly tools?: RequestTools | null
  /** Instead of the body's own, such as that of a tool's call. */
  readonly grammar?: AskedGrammar | null
}

export const makeDraft = Effect.fnUntraced(function* (
  body: GenerationBody,
  context: ParseContext,
  parts: DraftParts,
): Effect.fn.Return<RequestDraft, ApiError> {
  const { caller, model } = context
  if (body.stream_options !== undefined && !parts.stream) {
    const message = "stream_options is only allowed when stream is true."
    return yield* apiError("invalidValue", message, { param: "stream_options" })
  }
  const asked = parts.grammar ?? (yield* askedGrammar(body))
  const grammar = asked === null ? null : yield* checkGrammar(asked, context)
  yield* checkEnd(body, asked)
  const tier = parseTier(body)
  return {
    requestId: caller.requestId,
    model: model.name,
    tier,
    tenant: caller.tenant,
    dialect: parts.dialect,
    promptCacheKey: body.prompt_cache_key?.toWellFormed() ?? null,
    prompts: parts.prompts.ids,
    n: body.n ?? 1,
    sampling: parts.sampling,
    answer: {
      stream: parts.stream,
      includeUsage: body.stream_options?.include_usage ?? false,
      echo: parts.echo,
      echoTexts: parts.prompts.texts,
      returnTokenIds: body.return_token_ids ?? false,
      cancelOnDisconnect: body.cancel_on_disconnect ?? caller.cancelOnDisconnect,
      serviceTier: body.service_tier === undefined ? null : tier,
      user: body.user?.toWellFormed() ?? null,
      clientId: parts.clientId,
      response: parts.response ?? null,
    },
    traceparent: caller.traceparent,
    grammar,
    tools: parts.tools ?? null,
    textFormat: parts.textFormat ?? null,
    timeoutMs: timeoutOf(body) ?? caller.timeoutMs,
    idempotency: caller.idempotency,
  }
})
