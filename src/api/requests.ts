// The routes of requests made earlier; what they show and stream is decided in answer/requests.ts.
import { Effect } from "effect"
import { cancelRequest, requestEvents, viewRequest } from "./answer/requests.ts"
import { type Call, writeJson } from "./Call.ts"

const idOf = (call: Call): string => call.params["id"] ?? ""

/** The id of the request that is talked about, not one for this look at it. */
const writeRequest = (call: Call, body: { readonly id: string }): void => {
  call.exchange.res.setHeader("x-request-id", body.id)
  writeJson(call.exchange.res, body)
}

/** GET /v1/requests/{id} */
export const showRequest = Effect.fnUntraced(function* (call: Call) {
  writeRequest(call, yield* viewRequest(idOf(call), call.tenant))
})

/** DELETE /v1/requests/{id} */
export const deleteRequest = Effect.fnUntraced(function* (call: Call) {
  writeRequest(call, yield* cancelRequest(idOf(call), call.tenant))
})

/** GET /v1/requests/{id}/events */
export const streamRequest = (call: Call) => requestEvents(idOf(call), call.tenant, call.exchange)
