// Writes all messages of one WebSocket: those of a silent socket at once, later ones together in
// one system call, none beyond `bytesMax` waiting in the socket: then every request on it pauses.
// Also its liveness: a peer that neither answers pings nor takes bytes is cut off.
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import type { Beating, Paced, PacerShape } from "./Pacer.ts"

export interface SocketWriterOptions {
  readonly ws: WebSocket
  /** The connection under it, to cork. */
  readonly duplex: Duplex
  readonly pacer: PacerShape
  readonly bytesMax: number
  readonly onRoom: () => void
}

/** Two heartbeat intervals: a beat is half of one. */
const silentBeatsMax = 4

export class SocketWriter implements Paced, Beating {
  readonly #options: SocketWriterOptions
  #queue: Array<string> = []
  #queuedLength = 0
  #paced = false
  #blocked = false
  #silentBeats = 0

  constructor(options: SocketWriterOptions) {
    this.#options = options
    options.ws.on("pong", () => this.alive())
    options.pacer.join(this)
  }

  get full(): boolean {
    return this.#blocked || this.#queuedLength >= this.#options.bytesMax
  }

  /** The peer showed itself. */
  alive(): void {
    this.#silentBeats = 0
  }

  put(message: string): void {
    this.#queue.push(message)
    this.#queuedLength += message.length
  }

  commit(): void {
    if (this.#paced || this.#blocked || this.#queue.length === 0) return
    this.#send()
    this.#paced = true
    this.#options.pacer.pace(this)
  }

  flush(): boolean {
    this.#paced = !this.#blocked && this.#queue.length > 0
    if (this.#paced) {
      const wasFull = this.full
      this.#send()
      if (wasFull && !this.full) this.#options.onRoom()
    }
    return this.#paced
  }

  get dialect(): null {
    return null
  }

  get isPaused(): boolean {
    return false
  }

  beat(): void {
    this.#silentBeats += 1
    if (this.#silentBeats > silentBeatsMax) this.#options.ws.terminate()
    else if (this.#options.ws.readyState === this.#options.ws.OPEN) this.#options.ws.ping()
  }

  close(): void {
    this.#options.pacer.leave(this)
    this.#queue = []
    this.#queuedLength = 0
  }

  #send(): void {
    const { ws, duplex, bytesMax } = this.#options
    const messages = this.#queue
    this.#queue = []
    this.#queuedLength = 0
    const last = messages.length - 1
    duplex.cork()
    messages.forEach((message, i) => {
      ws.send(message, i === last ? (error) => this.#sent(error ?? null) : undefined)
    })
    duplex.uncork()
    this.#blocked = ws.bufferedAmount > bytesMax
  }

  /** The last message of a batch is with the kernel, or never will be. */
  #sent(error: Error | null): void {
    if (error !== null) return
    this.alive()
    const { ws, bytesMax, onRoom } = this.#options
    if (!this.#blocked || ws.bufferedAmount > bytesMax / 2) return
    this.#blocked = false
    if (this.#queue.length > 0) this.#send()
    if (!this.#blocked) onRoom()
  }
}
