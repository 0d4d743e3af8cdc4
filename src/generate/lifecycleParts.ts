// What the lifecycle of a request is given, and what it asks of the rest of the worker.
import type { MakeTextStream } from "../tokenizer/TextStream.ts"
import type { TokenizerModel } from "../tokenizer/Tokenizer.ts"
import type { Admission } from "./admission.ts"
import type { Deadlines } from "./deadline.ts"
import type { FrameWriter } from "./flush.ts"
import type { InFlight, InFlightTable } from "./inFlight.ts"
import type { Slots } from "./slots.ts"

export interface LifecycleParts {
  readonly workerId: string
  readonly table: InFlightTable
  readonly admission: Admission<InFlight>
  readonly deadlines: Deadlines<InFlight>
  readonly slots: Slots
  readonly writer: FrameWriter
  readonly makeText: MakeTextStream
  readonly tokenizer: TokenizerModel
  readonly claimsMax: number
  readonly now: () => number
}

export interface LifecycleEvents {
  /** Its terminal entry counts: its offsets are done. */
  readonly settled: (item: InFlight) => void
  /** Its history in the token log is wanted; `read` is called when it is there. */
  readonly wantsHistory: (item: InFlight) => void
  /**
   * It lost its claim; `retry` is called when it may be tried again, `drop` where it is not ours.
   */
  readonly yielded: (item: InFlight) => void
  /** Own frames of its token partition must be read back from now on, and once more not. */
  readonly watchOwn: (partition: number, by: 1 | -1) => void
  /** The entry at this offset is durable; `passed` is called when the tail has read it. */
  readonly awaitTail: (item: InFlight, offset: number) => void
  /** It is given up; `buried` is called when its dead letter is durable. */
  readonly dead: (item: InFlight, code: string, message: string) => void
  /** It goes on where another attempt had been. */
  readonly adopted: (item: InFlight) => void
}
