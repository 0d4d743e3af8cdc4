// How a Durable Stream is written as server-sent events: pieces that go out together are one data
// event, and each is followed by a control event that says where to go on.
import type { Frame } from "../dialect/Projection.ts"
import { type Framing, sseComment } from "../sse.ts"
import { durableEvent, type Form, isPiece, offsetOf } from "./form.ts"

export interface DurableFramingOptions {
  readonly form: Form
  readonly streamCursor: string
  readonly cursor: number
  /** Where the stream stood when it was asked for: past it, a reader is up to date. */
  readonly head: number
  /** It had ended by then. */
  readonly closed: boolean
}

export class DurableFraming implements Framing {
  readonly contentType = "text/event-stream"
  readonly #options: DurableFramingOptions
  #pieces: Array<string> = []
  #cursor: number

  constructor(options: DurableFramingOptions) {
    this.#options = options
    this.#cursor = options.cursor
  }

  /** A reader that has it all is told so before anything new comes. */
  begin(): string {
    const { cursor, head, closed } = this.#options
    return cursor >= head && !closed ? this.#control(false) : ""
  }

  frame({ cursor, data }: Frame): string {
    this.#cursor = cursor
    if (!isPiece(data)) return ""
    this.#pieces.push(data)
    return data
  }

  flush(): string {
    return this.#data() + this.#control(false)
  }

  end(): string {
    return this.#data() + this.#control(true)
  }

  /** There is no event for it: the reader comes back, and is told by a status. */
  broken(): string {
    return this.#pieces.length === 0 ? "" : this.flush()
  }

  beat(): string {
    return sseComment
  }

  #data(): string {
    if (this.#pieces.length === 0) return ""
    const body = this.#options.form.body(this.#pieces)
    this.#pieces = []
    return durableEvent("data", body)
  }

  #control(closes: boolean): string {
    const { head, streamCursor } = this.#options
    const streamNextOffset = offsetOf(this.#cursor)
    const upToDate = closes || this.#cursor >= head ? { upToDate: true } : {}
    const end = closes ? { streamClosed: true } : { streamCursor }
    return durableEvent("control", JSON.stringify({ streamNextOffset, ...end, ...upToDate }))
  }
}
