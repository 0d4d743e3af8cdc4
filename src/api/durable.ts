// The routes of requests as Durable Streams; what they read is decided in answer/durable/.
import { Effect } from "effect"
import { dialectFor } from "./answer/dialect/dialects.ts"
import { jsonForm, textForm, textProjection } from "./answer/durable/form.ts"
import { readDurable, writeSafetyHeaders } from "./answer/durable/read.ts"
import { viewFor } from "./answer/requests.ts"
import type { Call } from "./Call.ts"

const viewOf = (call: Call) => {
  writeSafetyHeaders(call.exchange)
  return viewFor(call.params["id"] ?? "", call.tenant)
}

/** GET, HEAD /v1/streams/{id}/text */
export const streamText = Effect.fnUntraced(function* (call: Call) {
  const view = yield* viewOf(call)
  const { exchange } = call
  yield* readDurable({ view, exchange, makeProjection: textProjection, form: textForm })
})

/** GET, HEAD /v1/streams/{id} */
export const streamMessages = Effect.fnUntraced(function* (call: Call) {
  const view = yield* viewOf(call)
  const { exchange } = call
  const query = new URL(exchange.req.url ?? "/", "http://localhost").searchParams
  const makeProjection = yield* dialectFor(view.request, query.get("dialect"))
  yield* readDurable({ view, exchange, makeProjection, form: jsonForm })
})
