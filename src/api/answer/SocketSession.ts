// One WebSocket and the requests that run on it. Each request is a StreamAnswer of its own; they
// share the socket's writer, so a full socket pauses all of them and none of anybody else.
import type { Duplex } from "node:stream"
import { Effect } from "effect"
import type { WebSocket } from "ws"
import { apiError, type ApiError, type Failure } from "../errors.ts"
import type { MakeOutlet, OutletHooks } from "./Outlet.ts"
import type { PacerShape } from "./Pacer.ts"
import type { ClientId } from "./socketMessage.ts"
import type { About, SocketProtocol } from "./socketProtocol.ts"
import { SocketWriter } from "./SocketWriter.ts"

export interface SocketSessionOptions {
  readonly ws: WebSocket
  readonly duplex: Duplex
  readonly pacer: PacerShape
  readonly protocol: SocketProtocol
  readonly bytesMax: number
  readonly requestsMax: number
}

/** A request's place on the socket, under the client's name for it, until its last message. */
export interface Place {
  readonly clientId: ClientId
  /** An earlier request's, where it was asked for again under its idempotency key. */
  requestId: string
  /** null until the request is durable. */
  hooks: OutletHooks | null
}

export class SocketSession {
  readonly #options: SocketSessionOptions
  readonly #writer: SocketWriter
  readonly #running = new Map<ClientId, Place>()
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

  /** Fails where the client's name is in use, or too many requests run. */
  reserve(clientId: ClientId, requestId: string): Effect.Effect<Place, ApiError> {
    return Effect.suspend(() => {
      if (this.#running.has(clientId)) return Effect.fail(nameInUse(clientId))
      const { requestsMax } = this.#options
      if (this.#running.size >= requestsMax) {
        const message = `At most ${requestsMax} requests run on one socket.`
        const numbers = { requests: this.#running.size, requests_max: requestsMax }
        return Effect.fail(apiError("tooManyRequests", message, { numbers }))
      }
      const place: Place = { clientId, requestId, hooks: null }
      this.#running.set(clientId, place)
      return Effect.succeed(place)
    })
  }

  /** Idempotent: the name may be in use by a later request. */
  release(place: Place): void {
    if (this.#running.get(place.clientId) === place) this.#running.delete(place.clientId)
  }

  /** undefined: no such request runs here. */
  requestIdOf(clientId: ClientId): string | undefined {
    return this.#running.get(clientId)?.requestId
  }

  /** Where the frames of a reserved request go. */
  outlet(place: Place): MakeOutlet {
    return (hooks, _requestId, projection) => {
      place.hooks = hooks
      if (this.#closed) hooks.onGone()
      const writer = this.#writer
      return {
        get full() {
          return writer.full
        },
        put: (frame) => writer.put(frame.data),
        commit: () => writer.commit(),
        end: () => {
          // Before the client can have seen the last message: then it may use the name again.
          this.release(place)
          writer.commit()
        },
        fail: (body) => {
          this.release(place)
          writer.put(projection.fault(body).data)
          writer.commit()
        },
      }
    }
  }

  /** What is no event of a request; nothing to clients that do not expect it. */
  tell(about: About, body: Readonly<Record<string, unknown>>): void {
    if (!this.#options.protocol.tells) return
    const id = about.clientId === null ? {} : { id: about.clientId }
    const requestId = about.requestId === null ? {} : { request_id: about.requestId }
    this.#say({ ...id, ...requestId, ...body })
  }

  fail(about: About, failure: Failure): void {
    this.#say(this.#options.protocol.failure(about, failure))
  }

  #say(message: Readonly<Record<string, unknown>>): void {
    if (this.#closed) return
    this.#writer.put(JSON.stringify(message))
    this.#writer.commit()
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

const nameInUse = (clientId: ClientId): ApiError =>
  clientId === null
    ? apiError("tooManyRequests", "One request without an id runs here; give each its own id.")
    : apiError("tooManyRequests", "A request with this id still runs here.", { param: "id" })
