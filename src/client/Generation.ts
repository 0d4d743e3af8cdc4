// One request and its events, read once by `for await`. It keeps the cursor of what it gave out and
// asks for the rest after every break, with growing pauses; until the server has said the request's
// id, it asks again under the same idempotency key. So each event comes once, in order, whatever
// the network does. Leaving the loop leaves the request running: `cancel` ends it.
import type { ClientSettings } from "./client.ts"
import { errorOfAnswer, SluiceError } from "./SluiceError.ts"
import { type Chunk, type Message, socketMessages, sseMessages, type Usage } from "./wire.ts"

export interface Piece {
  /** How many events there were with this one: where to go on. */
  readonly cursor: number
  /** Which of several choices it belongs to. */
  readonly choice: number
  readonly text: string
  /** Why the choice ended, with its last piece. */
  readonly finish: string | null
}

/** What is asked for: a body for a path, or an earlier request. */
export interface Asked {
  readonly path?: string
  readonly body?: object
  readonly requestId?: string
  readonly cursor?: number
  readonly signal?: AbortSignal | undefined
  readonly idempotencyKey?: string
}

/** What a chunk of any dialect says, if it says anything. */
const saidIn = ({ choices, ...chunk }: Chunk): Omit<Piece, "cursor"> | null => {
  const first = choices?.[0]
  if (!first && chunk.index === undefined) return null
  return {
    choice: first?.index ?? chunk.choice ?? 0,
    text: first?.text ?? first?.delta?.content ?? chunk.delta ?? "",
    finish: first?.finish_reason ?? chunk.finish_reason ?? null,
  }
}

export class Generation implements AsyncIterable<Piece> {
  readonly #settings: ClientSettings
  readonly #asked: Asked
  readonly #signal: AbortSignal
  #isCancelled = false
  #onKnown = () => {}
  readonly #known = new Promise<void>((resolve) => (this.#onKnown = resolve))
  /** null until the server has said it. */
  requestId: string | null
  /** Of the last piece that was given out. */
  cursor: number
  usage: Usage | null = null
  isDone = false

  constructor(settings: ClientSettings, asked: Asked) {
    this.#settings = settings
    this.#asked = asked
    this.#signal = asked.signal ?? new AbortController().signal
    this.requestId = asked.requestId ?? null
    this.cursor = asked.cursor ?? 0
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Piece, void, void> {
    for (let failures = 0; !this.isDone;) {
      const before = this.cursor
      let lost: unknown
      try {
        for await (const message of this.#connect()) {
          const piece = this.#take(message)
          if (piece) yield piece
          if (this.isDone) return
        }
      } catch (error) {
        lost = error
      }
      failures = this.cursor > before ? 0 : failures + 1
      await this.#recover(failures, lost)
    }
  }

  /** All of the first choice's text, read to the end. */
  async text(): Promise<string> {
    let all = ""
    for await (const { choice, text } of this) if (choice === 0) all += text
    return all
  }

  /**
   * Acknowledged when no further token can come; then the loop ends. Idempotent. While the server
   * has not said the request's id, it waits for that.
   */
  async cancel(): Promise<void> {
    this.#isCancelled = true
    if (!this.requestId) await this.#known
    const { url, headers, fetch } = this.#settings
    for (let failures = 1; !this.isDone; failures++) {
      const lost: unknown = await fetch(`${url}/v1/requests/${this.requestId}`, {
        method: "DELETE",
        headers,
      })
        .then((answer) => (answer.ok ? null : errorOfAnswer(answer)))
        .catch((error: unknown) => error)
      if (lost === null) return
      await this.#recover(failures, lost)
    }
  }

  /** Waits before another try, or throws why there will be none. */
  async #recover(failures: number, cause: unknown): Promise<void> {
    this.#signal.throwIfAborted()
    const said = cause instanceof SluiceError ? cause : null
    if (said?.isPassing === false || failures > this.#settings.retries) {
      if (said) throw said
      const message = "No server answers."
      throw new SluiceError({ code: "connection_lost", message }, true, 0, cause)
    }
    await this.#settings.pause(failures, said?.retryAfterMs ?? 0, this.#signal)
  }

  /** How its events come: from the start, or from the cursor on. */
  #connect(): AsyncGenerator<Message> {
    const { url, headers, transport, ...settings } = this.#settings
    const { path, body, idempotencyKey: key = "" } = this.#asked
    const { requestId, cursor } = this
    const shared = { ...settings, signal: this.#signal }
    const resumed = requestId !== null
    if (transport === "websocket") {
      const first = resumed
        ? { type: "resume", request_id: requestId, cursor }
        : { ...body, idempotency_key: key }
      return socketMessages({ ...shared, url: url.replace(/^http/, "ws") + "/v1/stream", first })
    }
    return sseMessages({
      ...shared,
      url: url + (resumed ? `/v1/requests/${requestId}/events?cursor=${cursor}` : path),
      init: resumed
        ? { headers }
        : {
            method: "POST",
            headers: { ...headers, "content-type": "application/json", "idempotency-key": key },
            body: JSON.stringify({
              stream_options: { include_usage: true },
              ...body,
              stream: true,
            }),
          },
      onId: (id) => this.#learn(id),
    })
  }

  #learn(requestId: string | null): void {
    this.requestId ??= requestId
    this.#onKnown()
  }

  #take({ cursor, data, isEnd }: Message): Piece | null {
    const { error, usage, request_id: requestId } = data
    if (requestId) this.#learn(requestId)
    if (usage) this.usage = usage
    if (error) {
      // With a cursor it is how the request ended; without one the connection went wrong.
      this.isDone = cursor !== null
      if (this.isDone && this.#isCancelled) return null
      const isPassing = !this.isDone && !error.type.startsWith("invalid")
      throw new SluiceError(error, isPassing)
    }
    this.isDone = isEnd
    this.cursor = cursor ?? this.cursor
    const said = isEnd ? null : saidIn(data)
    return said && { cursor: this.cursor, ...said }
  }
}
