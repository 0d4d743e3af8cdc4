// GET and HEAD of a request as a Durable Stream (protocol 1.0, the read side): what there is after
// an offset, once, by waiting for more, or as server-sent events. Sluice's requests are made by its
// own routes, so nothing can be created, appended, forked or deleted here.
import { Clock, Effect, Option } from "effect"
import { Config } from "../../../config/Config.ts"
import { Relay, RelayError, type RequestView } from "../../../relay/Relay.ts"
import { Tokenizer } from "../../../tokenizer/Tokenizer.ts"
import type { MakeProjection, Projection } from "../dialect/Projection.ts"
import type { Exchange } from "../Exchange.ts"
import { Pacer } from "../Pacer.ts"
import { followFrom, isOver } from "../requests.ts"
import { sseOutletAs } from "../SseWriter.ts"
import { type DurableAsk, nextStreamCursor, parseAsk } from "./ask.ts"
import { DurableFraming } from "./DurableFraming.ts"
import { DurableRead } from "./DurableRead.ts"
import { type Form, offsetOf } from "./form.ts"

export interface DurableOptions {
  readonly view: RequestView
  readonly exchange: Exchange
  readonly makeProjection: MakeProjection
  readonly form: Form
}

/** Before anything can fail: browsers must not guess what an answer is. */
export const writeSafetyHeaders = ({ res }: Exchange): void => {
  res.setHeader("x-content-type-options", "nosniff")
  res.setHeader("cross-origin-resource-policy", "cross-origin")
}

interface Position {
  readonly cursor: number
  readonly upToDate: boolean
  readonly closed: boolean
}

const headersOf = ({ cursor, upToDate, closed }: Position): Record<string, string> => ({
  "stream-next-offset": offsetOf(cursor),
  ...(upToDate ? { "stream-up-to-date": "true" } : {}),
  ...(closed ? { "stream-closed": "true" } : {}),
})

const answerHead = ({ view, exchange, form }: DurableOptions, projection: Projection): void => {
  const cursor = projection.cursorOf(view)
  const position = { cursor, upToDate: false, closed: isOver(view) }
  const own = { "content-type": form.type, "cache-control": "no-store" }
  exchange.res.writeHead(200, { ...own, ...headersOf(position) }).end()
}

const none = Effect.succeed(Option.none<void>())

/** Reads up to where the request stands, or waits for more where nothing is there. */
const gather = Effect.fnUntraced(function* (
  view: RequestView,
  projection: Projection,
  cursor: number,
  waitMs: number,
) {
  const relay = yield* Relay
  const from = projection.needsHistory ? 0 : cursor
  const read = new DurableRead(projection, cursor, from)
  const atEnd = isOver(view) && cursor === projection.cursorOf(view)
  if (atEnd) return { read, closed: true }
  const wait = Effect.suspend(() => (waitMs > 0 ? Effect.timeoutOption(read.some, waitMs) : none))
  yield* Effect.acquireUseRelease(
    relay.subscribe(view.request.requestId, from, read),
    () => wait,
    (subscription) => Effect.sync(() => subscription.close()),
  )
  if (read.failure !== null) return yield* read.failure
  return { read, closed: read.terminal !== null && !read.isFull }
})

const answerRead = Effect.fnUntraced(function* (
  { view, exchange, form }: DurableOptions,
  projection: Projection,
  cursor: number,
  ask: DurableAsk,
) {
  const { heartbeat } = yield* Config
  const polls = ask.live === "long-poll"
  const waitMs = polls ? heartbeat.everyMs : 0
  const { read, closed } = yield* gather(view, projection, cursor, waitMs)
  const { req, res } = exchange
  const position = { cursor: read.reached, upToDate: !read.isFull, closed }
  const etag = `"${offsetOf(cursor)}-${offsetOf(read.reached)}${closed ? "-end" : ""}"`
  const streamCursor = nextStreamCursor(yield* Clock.currentTimeMillis, ask)
  const headers = {
    ...headersOf(position),
    "cache-control": ask.from === "now" || polls ? "no-store" : "private, no-cache",
    ...(polls ? { "stream-cursor": streamCursor } : { etag }),
  }
  if (polls && read.pieces.length === 0) return void res.writeHead(204, headers).end()
  if (!polls && req.headers["if-none-match"] === etag) {
    return void res.writeHead(304, headers).end()
  }
  res.writeHead(200, { ...headers, "content-type": form.type }).end(form.body(read.pieces))
})

const answerEvents = Effect.fnUntraced(function* (
  { view, exchange, form }: DurableOptions,
  projection: Projection,
  cursor: number,
  ask: DurableAsk,
) {
  const pacer = yield* Pacer
  const streamCursor = nextStreamCursor(yield* Clock.currentTimeMillis, ask)
  const head = projection.cursorOf(view)
  const framing = new DurableFraming({ form, streamCursor, cursor, head, closed: isOver(view) })
  const makeOutlet = sseOutletAs(framing, exchange, pacer, yield* Config)
  if (isOver(view) && cursor === head) {
    // Nothing will come that could end it.
    const hooks = { onRoom: () => {}, onGone: () => {} }
    return makeOutlet(hooks, view.request.requestId, projection).end()
  }
  yield* followFrom({ view, projection, cursor, makeOutlet })
})

export const readDurable = Effect.fn("Durable.read")(function* (options: DurableOptions) {
  const { view, exchange, makeProjection } = options
  const ask = yield* parseAsk(exchange.req)
  const { model: facts } = yield* Tokenizer
  const projection = makeProjection(view.request, facts)
  if (exchange.req.method === "HEAD") return answerHead(options, projection)
  const last = projection.cursorOf(view)
  const cursor = ask.from === "now" ? last : ask.from
  if (cursor > last) {
    const message = `The offset is ahead of the stream, which ends at ${offsetOf(last)}.`
    return yield* new RelayError({ reason: "cursorAhead", message })
  }
  yield* ask.live === "sse"
    ? answerEvents(options, projection, cursor, ask)
    : answerRead(options, projection, cursor, ask)
})
