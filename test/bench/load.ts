// A load generator that leaves the machine to what it measures: raw sockets, one write a request,
// one buffer for all reads. Open loop: requests start by the clock, whatever the answers do, and
// times count from when a request was due, so that a stalled server cannot hide its own delay.
import { connect, type Socket } from "node:net"

export interface LoadOptions {
  readonly host: string
  readonly port: number
  readonly requestsPerSecond: number
  readonly seconds: number
  /** Requests of the first seconds are made but not counted. */
  readonly warmSeconds: number
  /** Kept-alive connections that are open before the first request; more are made when needed. */
  readonly connections: number
  /** The JSON body of the n-th request. */
  readonly body: (index: number) => string
  readonly stream: boolean
  /** Every n-th stream is kept whole and given to `check`. */
  readonly checkEvery: number
  readonly check: (answer: string) => boolean
}

export interface LoadResult {
  readonly started: number
  readonly answered: number
  readonly failed: number
  readonly checked: number
  readonly wrong: number
  readonly statuses: Readonly<Record<string, number>>
  /** From when a request was due to the first byte of its answer's body. */
  readonly firstMs: Quantiles
  readonly totalMs: Quantiles
  readonly inFlightMax: number
  readonly bytes: number
}

export interface Quantiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export const quantiles = (samples: ReadonlyArray<number>): Quantiles => {
  const sorted = Float64Array.from(samples).sort()
  const at = (share: number) => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
    return Math.round(value * 100) / 100
  }
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
}

interface Exchange {
  readonly dueAt: number
  readonly counts: boolean
  readonly kept: Array<string> | null
  head: string
  inBody: boolean
  remaining: number
  chunked: boolean
  /** The end of what came so far, as long as the last chunk. */
  tail: string
}

interface Tally {
  readonly first: Array<number>
  readonly total: Array<number>
  readonly statuses: Record<string, number>
  started: number
  answered: number
  failed: number
  checked: number
  wrong: number
  inFlight: number
  inFlightMax: number
  bytes: number
}

const headBytesMax = 16_384
const readBytes = 65_536
const turnMs = 5
const connectionsAtOnce = 50
const lastChunk = "0\r\n\r\n"

/** One connection: at most one request at a time, kept for the next. */
class Connection {
  exchange: Exchange | null = null
  private readonly socket: Socket
  private readonly run: Run
  private onTaken: () => void = () => {}

  constructor(run: Run) {
    this.run = run
    this.socket = connect({
      host: run.options.host,
      port: run.options.port,
      noDelay: true,
      onread: {
        buffer: run.buffer,
        callback: (bytes, buffer) => {
          this.read(Buffer.from(buffer.buffer, buffer.byteOffset, bytes))
          return true
        },
      },
    })
    this.socket.on("error", () => this.lost())
    this.socket.on("close", () => this.lost())
  }

  /** Resolves when the server has taken the connection: then it sits in no backlog. */
  warm(): Promise<void> {
    this.socket.write(`GET /health HTTP/1.1\r\nhost: ${this.run.options.host}\r\n\r\n`)
    return new Promise((resolve) => (this.onTaken = resolve))
  }

  send(exchange: Exchange, body: string): void {
    this.exchange = exchange
    this.socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: ${this.run.options.host}\r\n` +
        "content-type: application/json\r\n" +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  }

  close(): void {
    this.socket.destroy()
  }

  private lost(): void {
    const { exchange } = this
    this.exchange = null
    this.run.forget(this)
    if (exchange !== null) this.run.ended(exchange, false)
  }

  private read(bytes: Buffer): void {
    const { exchange } = this
    this.run.tally.bytes += bytes.length
    if (exchange === null) return this.onTaken()
    let body = bytes
    if (!exchange.inBody) {
      exchange.head += bytes.toString("latin1")
      const end = exchange.head.indexOf("\r\n\r\n")
      if (end < 0) {
        if (exchange.head.length > headBytesMax) this.socket.destroy()
        return
      }
      body = Buffer.from(exchange.head.slice(end + 4), "latin1")
      this.headRead(exchange, exchange.head.slice(0, end))
    }
    if (body.length > 0) this.bodyRead(exchange, body)
  }

  private headRead(exchange: Exchange, head: string): void {
    exchange.inBody = true
    const status = head.slice(9, 12)
    const { statuses } = this.run.tally
    statuses[status] = (statuses[status] ?? 0) + 1
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)
    exchange.chunked = length === null
    exchange.remaining = length === null ? 1 : Number(length[1])
    if (status !== "200") exchange.head = "failed"
    else exchange.head = ""
  }

  private bodyRead(exchange: Exchange, body: Buffer): void {
    if (exchange.counts && exchange.remaining > 0 && exchange.head !== "seen") {
      if (exchange.head === "") this.run.tally.first.push(performance.now() - exchange.dueAt)
    }
    const ok = exchange.head !== "failed"
    if (ok) exchange.head = "seen"
    exchange.kept?.push(body.toString("latin1"))
    // The last chunk is empty; inside an event no bare CR LF can stand, so the end is unmistakable.
    if (exchange.chunked) {
      const end = body.toString("latin1", Math.max(0, body.length - lastChunk.length))
      exchange.tail = (exchange.tail + end).slice(-lastChunk.length)
      if (exchange.tail !== lastChunk) return
    } else {
      exchange.remaining -= body.length
      if (exchange.remaining > 0) return
    }
    this.exchange = null
    this.run.ended(exchange, ok)
    this.run.idle.push(this)
  }
}

/** What one run of load holds: its connections, those that are idle, and the counts. */
class Run {
  readonly buffer = Buffer.allocUnsafe(readBytes)
  readonly idle: Array<Connection> = []
  readonly connections = new Set<Connection>()
  readonly tally: Tally = {
    first: [],
    total: [],
    statuses: {},
    started: 0,
    answered: 0,
    failed: 0,
    checked: 0,
    wrong: 0,
    inFlight: 0,
    inFlightMax: 0,
    bytes: 0,
  }
  readonly options: LoadOptions

  constructor(options: LoadOptions) {
    this.options = options
  }

  start(index: number, dueAt: number, counts: boolean): void {
    const { tally, options } = this
    tally.started++
    tally.inFlight++
    tally.inFlightMax = Math.max(tally.inFlightMax, tally.inFlight)
    const idle = this.idle.pop()
    const connection = idle ?? new Connection(this)
    this.connections.add(connection)
    const kept: Array<string> | null = index % options.checkEvery === 0 ? [] : null
    connection.send(
      { dueAt, counts, kept, head: "", inBody: false, remaining: 0, chunked: false, tail: "" },
      options.body(index),
    )
  }

  ended(exchange: Exchange, ok: boolean): void {
    const { tally } = this
    tally.inFlight--
    if (!ok) {
      tally.failed++
      return
    }
    tally.answered++
    if (exchange.counts) tally.total.push(performance.now() - exchange.dueAt)
    if (exchange.kept !== null) {
      tally.checked++
      if (!this.options.check(exchange.kept.join(""))) tally.wrong++
    }
  }

  /** Opens connections a few at a time: a backlog of them is not what is measured. */
  async open(): Promise<void> {
    for (let open = 0; open < this.options.connections; open += connectionsAtOnce) {
      const count = Math.min(connectionsAtOnce, this.options.connections - open)
      const batch = Array.from({ length: count }, () => new Connection(this))
      for (const connection of batch) this.connections.add(connection)
      await Promise.all(batch.map((connection) => connection.warm()))
      this.idle.push(...batch)
    }
  }

  forget(connection: Connection): void {
    this.connections.delete(connection)
    const at = this.idle.indexOf(connection)
    if (at >= 0) this.idle.splice(at, 1)
  }
}

const drained = async (run: Run, untilMs: number): Promise<void> => {
  while (run.tally.inFlight > 0 && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Makes the load and waits for its answers, 30 s beyond the last request at most. */
export const makeLoad = async (options: LoadOptions): Promise<LoadResult> => {
  const run = new Run(options)
  await run.open()
  const begin = performance.now()
  const last = options.requestsPerSecond * options.seconds
  let index = 0
  while (index < last) {
    const now = performance.now()
    const due = Math.min(last, 1 + Math.floor(((now - begin) / 1000) * options.requestsPerSecond))
    for (; index < due; index++) {
      const dueAt = begin + (index / options.requestsPerSecond) * 1000
      run.start(index, dueAt, dueAt - begin >= options.warmSeconds * 1000)
    }
    await new Promise((resolve) => setTimeout(resolve, turnMs))
  }
  await drained(run, performance.now() + 30_000)
  const { first, total, inFlight, ...counts } = run.tally
  run.connections.forEach((connection) => connection.close())
  return {
    ...counts,
    failed: counts.failed + inFlight,
    firstMs: quantiles(first),
    totalMs: quantiles(total),
  }
}
