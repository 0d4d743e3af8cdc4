// Writes one stream's frames to its socket: the first at once, later ones together, none while the
// socket is full. It holds at most one delivery beyond `bytesMax`: `full` says when to stop giving,
// and `onRoom` when to go on. It knows nothing of requests or dialects.
import type { ServerResponse } from "node:http"
import type { ConfigShape } from "../../config/Config.ts"
import type { ErrorBody } from "../errors.ts"
import type { Frame, Projection } from "./dialect/Projection.ts"
import type { Exchange } from "./Exchange.ts"
import type { MakeOutlet, Outlet, OutletHooks } from "./Outlet.ts"
import type { Paced, PacerShape } from "./Pacer.ts"
import { writeChunk } from "./writeChunk.ts"
import { type Framing, sseFraming, sseHeaders } from "./sse.ts"

interface SseWriterOptions {
  readonly res: ServerResponse
  readonly requestId: string
  readonly projection: Projection
  readonly framing: Framing
  readonly pacer: PacerShape
  readonly bytesMax: number
  /** What keeps an idle stream alive. */
  readonly heartbeat: ConfigShape["heartbeat"]["mode"]
  readonly hooks: OutletHooks
}

/** A client that takes no byte for so long is cut off: it can come back with its cursor. */
const stalledMsMax = 600_000

class SseWriter implements Outlet, Paced {
  readonly #options: SseWriterOptions
  readonly #res: ServerResponse
  #pending = ""
  #paced = false
  #blocked = false
  #ended = false
  #wroteSinceBeat = true
  #progressAt: number

  /** Sends status and headers now: the client knows its request id before the first token. */
  constructor(options: SseWriterOptions) {
    const { res, pacer, requestId, projection, framing } = options
    this.#options = options
    this.#res = res
    this.#progressAt = pacer.now()
    // A broken connection shows itself by "close"; without a listener "error" would end the
    // process.
    res.on("error", () => {})
    if (res.destroyed) {
      this.#closed()
      return
    }
    // The connection's own drain counts only while this answer's turn on it is: others may come
    // first.
    const connectionDrained = () => res.socket !== null && this.#drained()
    const connection = res.req.socket.on("drain", connectionDrained)
    res.on("drain", () => this.#drained())
    res.once("close", () => {
      connection.off("drain", connectionDrained)
      this.#closed()
    })
    pacer.join(this)
    const own = { "content-type": framing.contentType, ...projection.headers }
    res.writeHead(200, sseHeaders(requestId, own))
    res.flushHeaders()
    const beginning = framing.begin()
    if (beginning !== "") this.#blocked = !writeChunk(res, beginning)
  }

  get full(): boolean {
    return this.#blocked || this.#pending.length >= this.#options.bytesMax
  }

  put(frame: Frame): void {
    this.#pending += this.#options.framing.frame(frame)
  }

  commit(): void {
    if (this.#paced || this.#blocked || this.#pending === "") return
    this.#send()
    this.#paced = true
    this.#options.pacer.pace(this)
  }

  end(): void {
    if (!this.#ended) this.#finish(this.#options.framing.end(this.#pending))
  }

  fail(body: ErrorBody): void {
    const { framing, projection } = this.#options
    if (!this.#ended) this.#finish(framing.broken(this.#pending, projection.fault(body)))
  }

  flush(): boolean {
    this.#paced = !this.#ended && !this.#blocked && this.#pending !== ""
    if (this.#paced) {
      const wasFull = this.full
      this.#send()
      if (wasFull && !this.full) this.#options.hooks.onRoom()
    }
    return this.#paced
  }

  /** Who writes into it is the answer. */
  get dialect(): null {
    return null
  }

  get isPaused(): boolean {
    return false
  }

  beat(nowMs: number): void {
    if (this.#blocked || this.#ended) {
      if (nowMs - this.#progressAt > stalledMsMax) this.#res.destroy()
      return
    }
    if (!this.#wroteSinceBeat && this.#pending === "") {
      const { heartbeat, framing, projection } = this.#options
      const text = framing.beat(heartbeat, projection)
      if (text !== "") this.#blocked = !writeChunk(this.#res, text)
    }
    this.#wroteSinceBeat = false
    this.#progressAt = nowMs
  }

  #finish(text: string): void {
    this.#ended = true
    this.#pending = ""
    this.#res.end(text)
  }

  #send(): void {
    const text = this.#options.framing.flush(this.#pending)
    this.#pending = ""
    this.#wroteSinceBeat = true
    this.#blocked = !writeChunk(this.#res, text)
  }

  #drained(): void {
    this.#blocked = false
    this.#progressAt = this.#options.pacer.now()
    if (this.#ended) return
    if (this.#pending !== "") this.#send()
    if (!this.#blocked) this.#options.hooks.onRoom()
  }

  #closed(): void {
    this.#options.pacer.leave(this)
    const gone = !this.#ended
    this.#ended = true
    this.#pending = ""
    if (gone) this.#options.hooks.onGone()
  }
}

type StreamConfig = Pick<ConfigShape, "heartbeat" | "limits">

/** The outlet of an HTTP exchange. */
export const sseOutlet = (
  exchange: Exchange,
  pacer: PacerShape,
  config: StreamConfig,
): MakeOutlet => sseOutletAs(sseFraming, exchange, pacer, config)

export const sseOutletAs =
  (framing: Framing, exchange: Exchange, pacer: PacerShape, config: StreamConfig): MakeOutlet =>
  (hooks, requestId, projection) =>
    new SseWriter({
      res: exchange.res,
      requestId,
      projection,
      framing,
      pacer,
      bytesMax: config.limits.subscriberBytes,
      heartbeat: config.heartbeat.mode,
      hooks,
    })
