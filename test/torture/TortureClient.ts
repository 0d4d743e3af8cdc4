// A client under torture: it asks under an idempotency key until it knows that it was accepted, and
// comes back with its cursor after every break, at whichever gateway is there. What it lives
// through goes into the history; when each event came is kept for the recovery times.
import { type ClientRequest, type IncomingMessage, request } from "node:http"
import type { HistoryLine } from "../support/checker/history.ts"

/** A connection that is silent for so long is given up: its gateway may be stopped. */
const patienceMs = 4_000
const backOffMs = 100

export interface TortureWorld {
  /** Of a gateway that is thought to be there; null: none is. */
  readonly url: () => string | null
  readonly note: (line: HistoryLine) => void
  readonly now: () => number
}

export class TortureClient {
  readonly name: string
  readonly #body: string
  readonly #world: TortureWorld
  #request: ClientRequest | null = null
  #connection = 0
  #timer: NodeJS.Timeout | null = null
  requestId: string | null = null
  cursor = 0
  isDone = false
  breaks = 0
  /** An answer that no break explains. */
  fault: string | null = null
  /** When events came, ms since the epoch: several at one instant count once. */
  readonly arrivals: Array<number> = []

  constructor(name: string, body: object, world: TortureWorld) {
    this.name = name
    this.#body = JSON.stringify(body)
    this.#world = world
  }

  connect(): void {
    const url = this.#world.url()
    if (this.isDone || this.fault !== null || this.#request !== null) return
    if (url === null) return this.#later()
    const isNew = this.requestId === null
    const path = isNew
      ? "/v1/completions"
      : `/v1/requests/${this.requestId}/events?cursor=${this.cursor}`
    const headers = { "content-type": "application/json", "idempotency-key": this.name }
    const made = request(`${url}${path}`, isNew ? { method: "POST", headers } : {})
    this.#request = made
    made.setTimeout(patienceMs, () => made.destroy())
    made.on("response", (response) => this.#read(made, response))
    made.on("error", () => this.#broken(made))
    made.on("close", () => this.#broken(made))
    made.end(isNew ? this.#body : undefined)
  }

  /** Breaks the connection, as a network would. */
  cut(): void {
    this.#request?.destroy()
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.isDone = true
    this.cut()
  }

  #read(made: ClientRequest, response: IncomingMessage): void {
    const status = response.statusCode ?? 0
    const id = response.headers["x-request-id"]
    // Refused for now, as while a log has no leader: it asks again.
    if (status === 429 || status === 503) {
      response.resume()
      return
    }
    if (typeof id !== "string" || (status !== 200 && status !== 204)) {
      this.fault = `status ${status} at cursor ${this.cursor} of ${this.requestId}`
      response.resume()
      return
    }
    const isFirst = this.requestId === null
    this.requestId ??= id
    this.#connection++
    const line = this.#line(this.requestId)
    if (isFirst) this.#world.note({ kind: "accepted", ...line })
    this.#world.note({ kind: "opened", ...line, cursor: this.cursor })
    if (status === 204) {
      this.isDone = true
      this.#world.note({ kind: "ended", ...line })
    }
    this.#follow(made, response, this.requestId)
  }

  #follow(made: ClientRequest, response: IncomingMessage, requestId: string): void {
    let text = ""
    let sawDone = false
    response.setEncoding("utf8")
    response.on("data", (chunk: string) => {
      this.arrivals.push(this.#world.now())
      const blocks = (text + chunk).split("\n\n")
      text = blocks.pop() ?? ""
      for (const block of blocks) sawDone = this.#take(block, requestId) || sawDone
    })
    response.on("end", () => {
      if (sawDone && !this.isDone) {
        this.isDone = true
        this.#world.note({ kind: "ended", ...this.#line(requestId) })
      }
    })
    response.on("error", () => this.#broken(made))
  }

  /** True where it was the last. */
  #take(block: string, requestId: string): boolean {
    const id = /^id: (\d+)$/m.exec(block)?.[1]
    const data = /^data: (.*)$/m.exec(block)?.[1]
    // Without an id it is no event of the request.
    if (id === undefined || data === undefined) return false
    this.cursor = Number(id)
    this.#world.note({ kind: "event", ...this.#line(requestId), cursor: this.cursor, data })
    return data === "[DONE]"
  }

  #line(requestId: string) {
    return {
      client: this.name,
      requestId,
      connection: this.#connection,
      at: Math.round(this.#world.now()),
    }
  }

  #broken(made: ClientRequest): void {
    if (this.#request !== made) return
    this.#request = null
    if (this.isDone || this.fault !== null) return
    this.breaks++
    this.#later()
  }

  #later(): void {
    if (this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.connect()
    }, backOffMs)
  }
}
