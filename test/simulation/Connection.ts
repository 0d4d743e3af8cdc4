// A byte stream from a gateway to a client, as TCP and HTTP give it: bytes in order, cut anywhere,
// a window that fills when the client reads slowly, an end that each side learns of late. What a
// dead gateway had sent may or may not arrive.
import type { Machine } from "./Machine.ts"
import type { Simulation } from "./Simulation.ts"

/** What a response begins with. */
export type Head =
  | { readonly kind: "stream"; readonly requestId: string }
  /** 204: the client has seen everything. */
  | { readonly kind: "complete" }
  /** A cancel was carried out. */
  | { readonly kind: "cancelled" }
  | { readonly kind: "refused"; readonly tag: string; readonly reason: string }

export interface ClientEnd {
  readonly onHead: (head: Head) => void
  readonly onBytes: (bytes: Uint8Array) => void
  /** `isClean`: the gateway ended it, and everything before came. */
  readonly onEnd: (isClean: boolean) => void
}

export interface ConnectionOptions {
  readonly simulation: Simulation
  readonly gateway: Machine
  readonly client: Machine
  readonly end: ClientEnd
  /** Of bytes that are on their way. */
  readonly windowBytes: number
  /** How long the client takes over each piece. */
  readonly readMs: () => number
  readonly latencyMs: () => number
}

interface GatewayHooks {
  readonly onRoom: () => void
  readonly onGone: () => void
}

export class Connection {
  readonly #options: ConnectionOptions
  #hooks: GatewayHooks | null = null
  #arrivesAt = 0
  #inFlight = 0
  #isCut = false
  #hasEnded = false
  #isClosed = false
  #wasFull = false
  wasEverFull = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { gateway, simulation } = options
    gateway.onDeath(() => {
      if (simulation.draw.chance(0.5)) this.#isCut = true
      this.#later(() => this.#end(false))
    })
  }

  /** By the gateway's clock. */
  get now(): () => number {
    return this.#options.gateway.now
  }

  /** The gateway's end. */
  listen(hooks: GatewayHooks): void {
    this.#hooks = hooks
    if (this.#isClosed) hooks.onGone()
  }

  head(head: Head): void {
    this.#later(() => {
      if (this.#isCut || this.#isClosed) return
      this.#options.end.onHead(head)
      if (head.kind !== "stream") this.#end(true)
    })
  }

  get full(): boolean {
    const isFull = this.#inFlight >= this.#options.windowBytes
    this.#wasFull ||= isFull
    this.wasEverFull ||= isFull
    return isFull
  }

  write(text: string): void {
    const bytes = Buffer.from(text)
    const { draw } = this.#options.simulation
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + 1 + draw.below(bytes.length * 2))
      at += piece.length
      this.#inFlight += piece.length
      this.#later(() => this.#arrive(piece), this.#options.readMs())
    }
  }

  end(): void {
    this.#hasEnded = true
    this.#later(() => this.#end(!this.#isCut))
  }

  /** The client leaves; the gateway learns of it a little later. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { gateway, latencyMs } = this.#options
    gateway.after(latencyMs(), () => {
      if (!this.#hasEnded) this.#hooks?.onGone()
      this.#hasEnded = true
    })
  }

  #arrive(piece: Uint8Array): void {
    const { gateway, latencyMs, end } = this.#options
    if (!this.#isCut && !this.#isClosed) end.onBytes(piece)
    gateway.after(latencyMs(), () => {
      this.#inFlight -= piece.length
      if (!this.#wasFull || this.full) return
      this.#wasFull = false
      if (!this.#hasEnded && !this.#isClosed) this.#hooks?.onRoom()
    })
  }

  #end(isClean: boolean): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#options.end.onEnd(isClean)
  }

  /** On the client's machine, after all that was sent before. */
  #later(run: () => void, extraMs = 0): void {
    const { simulation, client, latencyMs } = this.#options
    this.#arrivesAt = Math.max(this.#arrivesAt, simulation.now + latencyMs()) + extraMs
    client.after(this.#arrivesAt - simulation.now, run)
  }
}
