// One subscriber that gathers what there is of a request after a cursor, up to a bound, and tells
// when the first of it came. Nothing is written here.
import { Effect } from "effect"
import type { RequestEvent, TerminalEvent } from "../../../../streams/fold/requestState.ts"
import type { LogError } from "../../../../streams/Log.ts"
import type { RelayError, Subscriber } from "../../../relay/Relay.ts"
import type { Projection } from "../dialect/Projection.ts"
import { isPiece } from "./form.ts"

/** A reader that asks for all of a long answer gets it in parts. */
const piecesBytesMax = 1024 * 1024

export class DurableRead implements Subscriber {
  readonly #projection: Projection
  readonly #cursor: number
  readonly pieces: Array<string> = []
  #bytes = 0
  #events: number
  #onSome: () => void = () => {}
  terminal: TerminalEvent | null = null
  /** There is more than fits one read. */
  isFull = false
  failure: RelayError | LogError | null = null

  /** `events` came before those that will be given. */
  constructor(projection: Projection, cursor: number, events: number) {
    this.#projection = projection
    this.#cursor = cursor
    this.#events = events
    this.#take(projection.begin())
  }

  /** There is a piece, or the end, or a failure. */
  readonly some = Effect.callback<void>((resume) => {
    this.#onSome = () => resume(Effect.void)
    if (this.#hasSome) this.#onSome()
  })

  /** Where the next read begins. */
  get reached(): number {
    const { terminal } = this
    return Math.max(this.#cursor, this.#projection.cursorOf({ events: this.#events, terminal }))
  }

  onEvents(events: ReadonlyArray<RequestEvent>): boolean {
    for (const event of events) {
      if (this.isFull || this.terminal !== null) return false
      this.#take(this.#projection.push(event))
      this.#events = event.number
      if (event.kind === "terminal") this.terminal = event
      this.isFull = this.#bytes >= piecesBytesMax
    }
    if (this.#hasSome) this.#onSome()
    return !this.isFull
  }

  onError(error: RelayError | LogError): void {
    this.failure = error
    this.#onSome()
  }

  get #hasSome(): boolean {
    return this.pieces.length > 0 || this.terminal !== null || this.failure !== null
  }

  #take(frames: ReturnType<Projection["push"]>): void {
    for (const { cursor, data } of frames) {
      if (cursor <= this.#cursor || !isPiece(data)) continue
      this.pieces.push(data)
      this.#bytes += data.length
    }
  }
}
