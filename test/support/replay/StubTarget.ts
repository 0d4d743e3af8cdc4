// A server with OpenAI's completions that does nothing but answer, well or in one of the ways in
// which servers go wrong. On raw sockets: it costs next to nothing, and can break HTTP itself. It
// keeps its own times of every request, from its last byte to its answer's first.
import { createServer, type Server, type Socket } from "node:net"

export type Behaviour =
  | "well"
  | "tooManyRequests"
  | "serverError"
  | "reset"
  | "closeAtOnce"
  | "closeMidStream"
  | "noDone"
  | "stall"
  | "silence"
  | "malformed"
  | "errorEvent"
  | "wrongContentType"
  | "noHttp"

export interface StubOptions {
  /** Of the n-th request. */
  readonly behave?: (index: number) => Behaviour
  /** Until the first piece, and between pieces. */
  readonly delayMs?: number
  readonly gapMs?: number
  readonly pieces?: number
  /** Further requests of the same second are answered with 429. */
  readonly perSecondMax?: number
}

const streamHead =
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n" +
  "transfer-encoding: chunked\r\n\r\n"

const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

const lastChunk = "0\r\n\r\n"

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`

const piece = (index: number, finish: string | null) =>
  event({ choices: [{ index: 0, text: ` w${index}`, finish_reason: finish }] })

const usage = (pieces: number) =>
  event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: pieces } })

const whole = (status: string, type: string, body: string, more = "") =>
  `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\n${more}` +
  `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

const error = JSON.stringify({ error: { message: "slow down", code: "rate_limit" } })

export class StubTarget {
  /** From a request's last byte to its answer's first, in ms. */
  readonly firstMs: Array<number> = []
  /** Of every request, as they came. */
  readonly bodies: Array<string> = []
  keepBodies = true
  served = 0
  private second = 0
  private inSecond = 0
  private readonly options: Required<StubOptions>
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  constructor(options: StubOptions = {}) {
    this.options = {
      behave: () => "well",
      delayMs: 0,
      gapMs: 0,
      pieces: 3,
      perSecondMax: Infinity,
      ...options,
    }
    this.server = createServer({ noDelay: true }, (socket) => this.connected(socket))
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", 4096, resolve))
    const address = this.server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    return `http://127.0.0.1:${port}`
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }

  private connected(socket: Socket): void {
    this.sockets.add(socket)
    let text = ""
    socket.on("error", () => {})
    socket.on("close", () => this.sockets.delete(socket))
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1")
      for (;;) {
        const end = text.indexOf("\r\n\r\n")
        if (end < 0) return
        const head = text.slice(0, end)
        const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0)
        if (text.length < end + 4 + length) return
        const body = text.slice(end + 4, end + 4 + length)
        text = text.slice(end + 4 + length)
        this.answer(socket, head.slice(0, head.indexOf("\r\n")), body)
      }
    })
  }

  private answer(socket: Socket, line: string, body: string): void {
    if (line.startsWith("GET /v1/models")) {
      const models = JSON.stringify({ data: [{ id: "stub", max_model_len: 4096 }] })
      socket.write(whole("200 OK", "application/json", models))
      return
    }
    if (body.includes('"stream":false')) {
      const said = JSON.stringify({
        choices: [{ index: 0, text: " w", finish_reason: "length" }],
        usage: { prompt_tokens: body.split(" ").length, completion_tokens: 1 },
      })
      socket.write(whole("200 OK", "application/json", said))
      return
    }
    const index = this.served++
    if (this.keepBodies) this.bodies.push(body)
    const cameAt = performance.now()
    const { delayMs, behave } = this.options
    const refused = this.refuses(cameAt)
    const behaviour = refused ? "tooManyRequests" : behave(index)
    const begin = () => this.begin(socket, behaviour, cameAt)
    if (delayMs === 0) begin()
    else setTimeout(begin, delayMs)
  }

  private refuses(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000)
    this.inSecond = second === this.second ? this.inSecond + 1 : 1
    this.second = second
    return this.inSecond > this.options.perSecondMax
  }

  private begin(socket: Socket, behaviour: Behaviour, cameAt: number): void {
    const { pieces } = this.options
    switch (behaviour) {
      case "well":
        return this.stream(socket, cameAt)
      case "tooManyRequests":
        socket.write(
          whole("429 Too Many Requests", "application/json", error, "retry-after: 2\r\n"),
        )
        return
      case "serverError":
        socket.write(whole("500 Internal Server Error", "application/json", error))
        return
      case "reset":
        socket.resetAndDestroy()
        return
      case "closeAtOnce":
        socket.end()
        return
      case "closeMidStream":
        socket.end(streamHead + chunk(piece(0, null)))
        return
      case "noDone":
        socket.write(streamHead + chunk(piece(0, null)) + lastChunk)
        return
      case "stall":
        socket.write(streamHead + chunk(piece(0, null)))
        return
      case "silence":
        return
      case "malformed":
        socket.write(streamHead + chunk('data: {"choices":[\n\n') + lastChunk)
        return
      case "errorEvent":
        socket.write(streamHead + chunk(event({ error: { message: "lost" } })) + lastChunk)
        return
      case "wrongContentType":
        socket.write(whole("200 OK", "text/html", "<h1>Welcome to the proxy</h1>"))
        return
      case "noHttp":
        socket.end(`220 mail ready ${pieces}\r\n`)
        return
    }
  }

  private stream(socket: Socket, cameAt: number): void {
    const { pieces, gapMs } = this.options
    this.firstMs.push(performance.now() - cameAt)
    const last = pieces - 1
    const end = chunk(usage(pieces)) + chunk("data: [DONE]\n\n") + lastChunk
    if (gapMs === 0) {
      const all = Array.from({ length: pieces }, (_, i) => piece(i, i === last ? "length" : null))
      socket.write(streamHead + chunk(all.join("")) + end)
      return
    }
    socket.write(streamHead + chunk(piece(0, last === 0 ? "length" : null)))
    let next = 1
    const timer = setInterval(() => {
      if (next <= last) socket.write(chunk(piece(next, next === last ? "length" : null)))
      next++
      if (next <= last) return
      socket.write(end)
      clearInterval(timer)
    }, gapMs)
  }
}
