// The routes of OpenAI's responses; what they show and stream is decided in answer/responses.ts.
import { Effect, Predicate } from "effect"
import { answer } from "./answer/answer.ts"
import {
  acceptResponse,
  cancelResponse,
  responseEvents,
  responseInput,
  turnsUpTo,
  viewResponse,
} from "./answer/responses.ts"
import { type Call, writeJson } from "./Call.ts"
import { apiError } from "./errors.ts"
import { generation } from "./generations.ts"
import type { ParseContext } from "./parse/context.ts"
import { parseResponses } from "./parse/responses.ts"

const idOf = (call: Call): string => call.params["id"] ?? ""

/** POST /v1/responses */
export const postResponses = generation(
  (body, context) => parseResponses(body, context, (id) => turnsUpTo(context.caller.tenant, id)),
  Effect.fnUntraced(function* (draft, exchange) {
    const inBackground = draft.answer.response?.background === true
    if (draft.answer.stream || !inBackground) return yield* answer(draft, exchange)
    const body = yield* acceptResponse(draft)
    writeJson(exchange.res, body)
    return { outcome: "accepted", completionTokens: 0 }
  }),
)

/** What a WebSocket's message says beside the response that it asks for. */
interface Envelope {
  readonly type?: unknown
  readonly stream_id?: unknown
  readonly idempotency_key?: unknown
}

/** WS /v1/responses: always a stream, never in the background. */
export const parseResponsesMessage = Effect.fnUntraced(function* (
  message: unknown,
  context: ParseContext,
) {
  const asked: Envelope = Predicate.isObject(message) ? { ...message } : {}
  const { type: _type, stream_id: _lane, idempotency_key: _key, ...body } = asked
  if (Predicate.hasProperty(body, "background") && body.background === true) {
    const sentence = "background is not supported on a WebSocket."
    return yield* apiError("unsupported", sentence, { param: "background" })
  }
  return yield* parseResponses({ ...body, stream: true }, context, (id) =>
    turnsUpTo(context.caller.tenant, id),
  )
})

const queryOf = (call: Call): URLSearchParams =>
  new URL(call.exchange.req.url ?? "/", "http://localhost").searchParams

/** GET /v1/responses/{id}/input_items */
export const getResponseInput = Effect.fnUntraced(function* (call: Call) {
  writeJson(call.exchange.res, yield* responseInput(idOf(call), call.tenant, queryOf(call)))
})

/** GET /v1/responses/{id}, as it stands or as a stream */
export const getResponse = Effect.fnUntraced(function* (call: Call) {
  const query = queryOf(call)
  if (query.get("stream") === "true") {
    return yield* responseEvents(idOf(call), call.tenant, call.exchange)
  }
  writeJson(call.exchange.res, yield* viewResponse(idOf(call), call.tenant))
})

/** POST /v1/responses/{id}/cancel */
export const postResponseCancel = Effect.fnUntraced(function* (call: Call) {
  writeJson(call.exchange.res, yield* cancelResponse(idOf(call), call.tenant))
})
