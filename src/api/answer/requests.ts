// What a client may do with a request that it made earlier: look at it, read its events from a
// cursor on, cancel it. A request of another tenant is no less unknown than one that never was.
import { Effect } from "effect"
import { isRequestId } from "../../../streams/requestId.ts"
import { Config } from "../../config/Config.ts"
import { Enqueue } from "../../enqueue/Enqueue.ts"
import { Relay, RelayError, type RequestView, type Subscriber } from "../../relay/Relay.ts"
import { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import { apiError, type Failure } from "../errors.ts"
import { dialectFor } from "./dialect/dialects.ts"
import type { MakeProjection, Projection } from "./dialect/Projection.ts"
import type { Exchange } from "./Exchange.ts"
import type { MakeOutlet } from "./Outlet.ts"
import { Pacer } from "./Pacer.ts"
import { requestBody, type RequestBody } from "./requestBody.ts"
import { sseOutlet } from "./SseWriter.ts"
import { StreamAnswer } from "./StreamAnswer.ts"

/** GET /v1/requests/{id} */
export const viewRequest = Effect.fn("Requests.view")(function* (
  requestId: string,
  tenant: string,
) {
  return requestBody(yield* viewFor(requestId, tenant))
})

/**
 * DELETE /v1/requests/{id}: acknowledged once durable; again, or after the end, it changes nothing.
 */
export const cancelRequest = Effect.fn("Requests.cancel")(function* (
  requestId: string,
  tenant: string,
) {
  const before = yield* viewFor(requestId, tenant)
  if (isOver(before)) return requestBody(before)
  yield* (yield* Enqueue).cancel(requestId, tenant === "" ? "client" : tenant)
  const after = yield* viewFor(requestId, tenant)
  const body: RequestBody = requestBody(after)
  return isOver(after) ? body : { ...body, status: "cancelled" as const }
})

/**
 * GET /v1/requests/{id}/events: server-sent events from a cursor on, in the dialect in which the
 * request was made or in `?dialect=`. 204 when the terminal event was delivered: EventSource then
 * stops.
 */
export const requestEvents = Effect.fn("Requests.events")(function* (
  requestId: string,
  tenant: string,
  exchange: Exchange,
) {
  const query = new URL(exchange.req.url ?? "/", "http://localhost").searchParams
  const cursor = yield* cursorOf(exchange.req.headers["last-event-id"], query.get("cursor"))
  const view = yield* viewFor(requestId, tenant)
  const makeProjection = yield* dialectFor(view.request, query.get("dialect"))
  yield* streamFrom({ view, exchange, makeProjection, cursor, overStatus: 204 })
})

export interface StreamFromOptions {
  readonly view: RequestView
  readonly exchange: Exchange
  readonly makeProjection: MakeProjection
  /** In the dialect's own count. */
  readonly cursor: number
  /** Of an answer to a client that has seen everything: nothing, or a stream without events. */
  readonly overStatus: 200 | 204
}

const silent: Subscriber = { onEvents: () => true, onError: () => {} }

/** Of a request that seems to have said nothing the relay tells whether retention took it. */
const refuseCursor = Effect.fnUntraced(function* (
  { events, request }: RequestView,
  cursor: number,
  last: number,
): Effect.fn.Return<never, Failure, Relay> {
  if (events === 0) {
    const relay = yield* Relay
    const { close } = yield* relay.subscribe(request.requestId, 1, silent)
    close()
  }
  const message = `The cursor ${cursor} is ahead of the request, which has come to ${last}.`
  return yield* new RelayError({ reason: "cursorAhead", message })
})

/** Writes the events of a request after a cursor, up to its end. */
export const streamFrom = Effect.fnUntraced(function* (options: StreamFromOptions) {
  const { view, exchange, makeProjection, cursor, overStatus } = options
  const { requestId } = view.request
  const { model: facts } = yield* Tokenizer
  const projection = makeProjection(view.request, facts)
  const last = projection.cursorOf(view)
  if (cursor > last) return yield* refuseCursor(view, cursor, last)
  if (isOver(view) && cursor === last && overStatus === 204) {
    exchange.res.writeHead(204, { "x-request-id": requestId }).end()
    return
  }
  const makeOutlet = sseOutlet(exchange, yield* Pacer, yield* Config)
  yield* followFrom({ view, projection, cursor, makeOutlet })
})

export interface FollowOptions {
  readonly view: RequestView
  readonly projection: Projection
  readonly cursor: number
  readonly makeOutlet: MakeOutlet
}

/** Gives an outlet the frames after a cursor, until the request's end or the client's leaving. */
export const followFrom = Effect.fnUntraced(function* (options: FollowOptions) {
  const { view, projection, cursor, makeOutlet } = options
  const stream = new StreamAnswer({ makeOutlet, pacer: yield* Pacer, meter: null })
  const relay = yield* Relay
  const from = projection.needsHistory ? 0 : cursor
  yield* Effect.acquireUseRelease(
    relay.subscribe(view.request.requestId, from, stream),
    (subscription) => {
      stream.attach(subscription)
      stream.open({ request: view.request, projection, cursor })
      return stream.ended
    },
    () => Effect.sync(() => stream.close()),
  )
})

export const isOver = (view: RequestView): boolean =>
  view.state !== "queued" && view.state !== "running"

const unknown = (requestId: string) =>
  new RelayError({
    reason: "unknownRequest",
    message: `There is no request "${requestId.slice(0, 64)}".`,
  })

/** The view, if the tenant may have it. */
export const viewFor = Effect.fnUntraced(function* (
  requestId: string,
  tenant: string,
): Effect.fn.Return<RequestView, Failure, Relay | Config> {
  const config = yield* Config
  if (!isRequestId(requestId)) return yield* unknown(requestId)
  const view = yield* (yield* Relay).view(requestId)
  if (config.apiKeys.length > 0 && view.request.tenant !== tenant) return yield* unknown(requestId)
  return view
})

/**
 * Last-Event-ID wins over the query: EventSource reconnects to the URL it was given, where the
 * first cursor still stands.
 */
export const cursorOf = (
  lastEventId: string | ReadonlyArray<string> | undefined,
  query: string | null,
): Effect.Effect<number, Failure> => {
  const fromHeader = typeof lastEventId === "string" && lastEventId !== ""
  const text = fromHeader ? lastEventId : (query ?? "0")
  const param = fromHeader ? "Last-Event-ID" : "cursor"
  if (/^\d{1,15}$/.test(text)) return Effect.succeed(Number(text))
  const message = `${param} must be a whole number from 0 on, as an event's id gave it.`
  return Effect.fail(apiError("invalidValue", message, { param }))
}
