// What load is sent to, as the generator sees it: something that takes a request and tells of its
// answer. A target never throws, ends every request exactly once, and asks for no time: the
// generator takes the times of what it is told.
import type { Failure } from "../measure/Tally.ts"
import type { Planned } from "../plan/Plan.ts"
import type { Piece } from "./Answer.ts"

export interface TargetEnd {
  readonly failure: Failure | null
  readonly detail: string
  /** The target said when to come again. */
  readonly retryAfter: boolean
  readonly promptTokens: number
  readonly outputTokens: number
}

export interface Watch {
  /** Content came. `tokens`: how many, 0 where the target does not say. */
  readonly onContent: (tokens: number) => void
  /** null: nobody compares what is said. */
  readonly onPiece: ((piece: Piece) => void) | null
  readonly onEnd: (end: TargetEnd) => void
}

export interface Target {
  /** The returned function gives the request up; its end comes then too. */
  readonly send: (planned: Planned, watch: Watch) => (why: Failure) => void
  readonly close: () => void
}
