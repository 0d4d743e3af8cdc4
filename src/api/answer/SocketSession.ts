// One WebSocket and the requests that run on it. Each request is a StreamAnswer of its own; they
// share the socket's writer, so a full socket pauses all of them and none of anybody else.
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { apiError, type ApiError, type ErrorBody, type Failure, toErrorBody } from "../errors.ts"
import type { MakeOutlet, OutletHooks } from "./Outlet.ts"
import type { PacerShape } from "./Pacer.ts"
import type { ClientId } from "./socketMessage.ts"
import { SocketWriter } from "./SocketWriter.ts"

export interface SocketSessionOptions {
  readonly ws: WebSocket
  readonly duplex: Duplex
  readonly pacer: PacerShape
  readonly bytesMax: number
  readonly requestsMax: number
}

/** Who a message from the server is about. */
export interface About {
  readonly clientId: ClientId
  readonly requestId: string | null
}

interface Running {
  readonly requestId: string
  /** null until the request is durable. */
  hooks: OutletHooks | null
}

export class SocketSession {
  readonly #options: SocketSessionOptions
  readonly #writer: SocketWriter
  readonly #running = new Map<ClientId, Running>()
  #closed = false

  constructor(options: SocketSessionOptions) {
    this.#options = options
    const { ws, duplex, pacer, bytesMax } = options
    const onRoom = () => this.#room()
    this.#writer = new SocketWriter({ ws, duplex, pacer, bytesMax, onRoom })
    ws.once("close", () => this.#close())
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The peer showed itself. */
  alive(): void {
    this.#writer.alive()
  }

  /** Takes the client's name for a request; null where it may run. */
  reserve(clientId: ClientId, requestId: string): ApiError | null {
    if (this.#running.has(clientId)) {
      return clientId === null
        ? apiError("tooManyRequests", "One request without an id runs here; give each its own id.")
        : apiError("tooManyRequests", "A request with this id still runs here.", { param: "id" })
    }
    const { requestsMax } = this.#options
    if (this.#running.size >= requestsMax) {
      return apiError("tooManyRequests", `At most ${requestsMax} requests run on one socket.`)
    }
    this.#running.set(clientId, { requestId, hooks: null })
    return null
  }

  release(clientId: ClientId): void {
    this.#running.delete(clientId)
  }

  /** undefined: no such request runs here. */
  requestIdOf(clientId: ClientId): string | undefined {
    return this.#running.get(clientId)?.requestId
  }

  /** Where the frames of a reserved request go. */
  outlet(clientId: ClientId): MakeOutlet {
    return (hooks, requestId) => {
      const running = this.#running.get(clientId)
      if (running !== undefined) running.hooks = hooks
      if (this.#closed) hooks.onGone()
      const writer = this.#writer
      return {
        get full() {
          return writer.full
        },
        put: (frame) => writer.put(frame.data),
        commit: () => writer.commit(),
        end: () => writer.commit(),
        fail: (body) => this.say({ clientId, requestId }, body),
      }
    }
  }

  say(about: About, body: ErrorBody | Readonly<Record<string, unknown>>): void {
    if (this.#closed) return
    const id = about.clientId === null ? {} : { id: about.clientId }
    const requestId = about.requestId === null ? {} : { request_id: about.requestId }
    this.#writer.put(JSON.stringify({ ...id, ...requestId, ...body }))
    this.#writer.commit()
  }

  fail(about: About, failure: Failure): void {
    this.say(about, toErrorBody(failure))
  }

  #room(): void {
    for (const { hooks } of this.#running.values()) {
      if (this.#writer.full) return
      hooks?.onRoom()
    }
  }

  #close(): void {
    this.#closed = true
    this.#writer.close()
    for (const { hooks } of this.#running.values()) hooks?.onGone()
    this.#running.clear()
  }
}
