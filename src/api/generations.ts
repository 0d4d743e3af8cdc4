// The handlers that make requests: read, parse, and hand over to the answer.
import { Effect } from "effect"
import { Config } from "../config/Config.ts"
import type { RequestDraft } from "../enqueue/Enqueue.ts"
import { answer } from "./answer/answer.ts"
import type { Exchange } from "./answer/Exchange.ts"
import { readJson } from "./body.ts"
import { type Call, parseContext } from "./Call.ts"
import type { Failure } from "./errors.ts"
import { idempotencyOf } from "./idempotency.ts"
import { parseChat } from "./parse/chat.ts"
import { parseCompletions } from "./parse/completions.ts"
import type { ParseContext } from "./parse/context.ts"
import { pathOf } from "./socket.ts"
import { traced } from "./trace.ts"

type Parse<R> = (body: unknown, context: ParseContext) => Effect.Effect<RequestDraft, Failure, R>

/** How an answer ended, for the log line. */
interface Ended {
  readonly outcome: string
  readonly completionTokens: number
}

type Write<R> = (draft: RequestDraft, exchange: Exchange) => Effect.Effect<Ended, Failure, R>

export const generation = <R, W>(parse: Parse<R>, write: Write<W>) =>
  Effect.fnUntraced(function* (call: Call) {
    const { limits } = yield* Config
    const { req } = call.exchange
    const body = yield* readJson(req, limits)
    const asked = { tenant: call.tenant, route: pathOf(req.url), body }
    const key = req.headers["idempotency-key"]
    const idempotency = yield* idempotencyOf(key, "Idempotency-Key", asked)
    const context = yield* parseContext(req, call, idempotency)
    const draft = yield* parse(body, yield* traced(context, pathOf(req.url)))
    call.note(
      "promptTokens",
      draft.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    )
    const end = yield* write(draft, call.exchange)
    call.note("outcome", end.outcome)
    call.note("completionTokens", end.completionTokens)
  })

/** POST /v1/completions */
export const postCompletions = generation(parseCompletions, answer)

/** POST /v1/chat/completions */
export const postChat = generation(parseChat, answer)
