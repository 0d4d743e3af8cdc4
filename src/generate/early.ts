// Requests that the log says are on their way into it: the engine starts on them while the disk
// still works on their records, so that a prompt's first step and its commit overlap. It promises
// that nothing of such a request is logged before its record was read, and that one whose record
// does not come leaves no trace.
import type { RequestAccepted } from "../../schemas/types.ts"
import type { FrameWriter } from "./flush.ts"
import type { InFlight, InFlightTable } from "./inFlight.ts"
import type { Lifecycle } from "./lifecycle.ts"
import type { TokenTail } from "./tail.ts"

/** A request as it was announced. */
export interface EarlyRequest {
  readonly request: RequestAccepted
  readonly bytes: Uint8Array
}

/** A record that is later comes as if it had not been announced. */
const earlyMs = 500

export interface EarlyParts {
  readonly table: InFlightTable
  readonly tail: TokenTail
  readonly writer: FrameWriter
  readonly lifecycle: Lifecycle
  readonly after: (ms: number, run: () => void) => void
}

export class Early {
  readonly #parts: EarlyParts

  constructor(parts: EarlyParts) {
    this.#parts = parts
  }

  /** True where nothing is known of it: what was heard before says more than an announcement. */
  isNew(requestId: string): boolean {
    const { table, tail } = this.#parts
    const isKnown = table.get(requestId) !== undefined
    return !isKnown && !tail.isSettled(requestId) && !tail.isTouched(requestId)
  }

  start(item: InFlight): void {
    const { writer, lifecycle, after } = this.#parts
    writer.buffer(item.tokenPartition).hold(item.request.requestId)
    lifecycle.arrive(item, true)
    after(earlyMs, () => {
      if (item.isEarly) lifecycle.drop(item)
    })
  }

  /** Its record was read: what it has to say may be said. */
  confirm(item: InFlight): void {
    if (!item.isEarly) return
    item.isEarly = false
    this.#parts.writer.buffer(item.tokenPartition).release(item.request.requestId)
  }
}
