// A client that loses nothing: it streams a completion over SSE, remembers the last cursor, and
// after every break asks for the rest of the same request. It keeps each event as it came.
import { type ClientRequest, get, request, type IncomingMessage } from "node:http"
import type { HistoryLine } from "./checker/history.ts"

/** Where the server is now; null while it is away. */
export interface Whereabouts {
  url: string | null
}

let clients = 0

export class ResumingClient {
  /** All that it lived through, for the checker. */
  readonly history: Array<HistoryLine> = []
  readonly #name = `client-${++clients}`
  #connection = 0
  readonly #askAt: Whereabouts
  readonly #resumeAt: Whereabouts
  readonly #body: object
  #request: ClientRequest | null = null
  requestId: string | null = null
  cursor = 0
  readonly events: Array<string> = []
  isDone = false
  breaks = 0
  /** What cannot be mended by coming again. */
  fault: string | null = null

  /** The rest may be asked for elsewhere than the answer. */
  constructor(askAt: Whereabouts, body: object, resumeAt: Whereabouts = askAt) {
    this.#askAt = askAt
    this.#resumeAt = resumeAt
    this.#body = body
  }

  /** Asks for the first time, or for the rest. */
  connect(): void {
    const { url } = this.requestId === null ? this.#askAt : this.#resumeAt
    if (url === null || this.isDone || this.#request !== null) return
    const made =
      this.requestId === null
        ? request(`${url}/v1/completions`, {
            method: "POST",
            headers: { "content-type": "application/json" },
          })
        : get(`${url}/v1/requests/${this.requestId}/events?cursor=${this.cursor}`)
    this.#request = made
    made.on("response", (response) => this.#read(response))
    made.on("error", () => this.#broken(made))
    if (this.requestId === null) made.end(JSON.stringify(this.#body))
  }

  /** Breaks the connection, as a network would. */
  close(): void {
    this.#request?.destroy()
  }

  #read(response: IncomingMessage): void {
    const made = this.#request!
    const id = response.headers["x-request-id"]
    const isFirst = this.requestId === null
    if (typeof id === "string") this.requestId ??= id
    if (response.statusCode === 204) this.isDone = true
    else if (response.statusCode !== 200) this.fault = `status ${response.statusCode}`
    if (this.fault === null && isFirst) this.history.push({ kind: "accepted", ...this.#now })
    this.#connection++
    this.history.push({ kind: "opened", ...this.#now, cursor: this.cursor })
    let text = ""
    response.setEncoding("utf8")
    response.on("data", (chunk: string) => {
      text += chunk
      const blocks = text.split("\n\n")
      text = blocks.pop() ?? ""
      for (const block of blocks) this.#take(block)
    })
    response.on("end", () => {
      if (this.fault === null) this.history.push({ kind: "ended", ...this.#now })
    })
    response.on("error", () => this.#broken(made))
    response.on("close", () => this.#broken(made))
  }

  #take(block: string): void {
    let data: string | null = null
    for (const line of block.split("\n")) {
      if (line.startsWith("data: ")) data = line.slice(6)
      if (line.startsWith("id: ")) this.cursor = Number(line.slice(4))
    }
    if (data !== null) this.history.push({ kind: "event", ...this.#now, cursor: this.cursor, data })
    if (data === "[DONE]") this.isDone = true
    else if (data !== null) this.events.push(data)
  }

  get #now() {
    const requestId = this.requestId ?? ""
    const { timeOrigin } = performance
    const at = timeOrigin + performance.now()
    return { client: this.#name, requestId, at, connection: this.#connection }
  }

  #broken(made: ClientRequest): void {
    if (this.#request !== made) return
    this.#request = null
    if (!this.isDone) this.breaks++
    if (this.requestId === null && !this.isDone) this.fault ??= "broke before it was accepted"
  }
}
