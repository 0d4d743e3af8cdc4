// What a dialect is: a pure function from a request and its events to the text of its frames. Event
// N gives the same bytes on every relay and every replay, so no dialect sees a clock or draws a
// number.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type {
  RequestEvent,
  TerminalEvent,
  TokenEvent,
} from "../../../../streams/fold/requestState.ts"
import type { TokenizerModel } from "../../../tokenizer/Tokenizer.ts"

/** How a token is shown where logprobs were asked for. */
export type ModelFacts = Pick<TokenizerModel, "tokenText" | "tokenBytes" | "specialIds">

/**
 * `cursor` is the number of the event that it shows; `data` is JSON or [DONE], without line breaks.
 */
export interface Frame {
  readonly cursor: number
  readonly data: string
}

export interface Projection {
  /** None for an event that has nothing to say, such as held-back text. */
  readonly push: (event: RequestEvent) => ReadonlyArray<Frame>
  /**
   * A frame depends on the events before it: a resume projects from the start and drops what was
   * seen.
   */
  readonly needsHistory: boolean
  /** A chunk that is valid and says nothing, for clients whose idle timer ignores comments. */
  readonly emptyChunk: string
}

export type MakeProjection = (request: RequestAccepted, facts: ModelFacts) => Projection

/** Gathers the whole answer. Its memory is bounded by the tokens that were admitted. */
export interface Collector {
  readonly push: (event: TokenEvent) => void
  /** The body of a finished request. */
  readonly body: (terminal: TerminalEvent) => string
}

export type MakeCollector = (request: RequestAccepted, facts: ModelFacts) => Collector

export const noFrames: ReadonlyArray<Frame> = []

export const createdAt = (request: RequestAccepted): number => Math.floor(request.acceptedAt / 1000)

export const choiceCount = (request: RequestAccepted): number => request.prompts.length * request.n
