// What a dialect is: a pure function from a request and its events to the text of its frames. Event
// N gives the same bytes on every relay and every replay, so no dialect sees a clock or draws a
// number.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type {
  RequestEvent,
  TerminalEvent,
  TokenEvent,
} from "../../../../streams/fold/requestState.ts"
import type { RequestView } from "../../../relay/Relay.ts"
import type { TokenizerModel } from "../../../tokenizer/Tokenizer.ts"
import type { ErrorBody } from "../../errors.ts"

/** How a token is shown where logprobs were asked for. */
export type ModelFacts = Pick<TokenizerModel, "tokenText" | "tokenBytes" | "specialIds">

/** What a client reads at once; it moves no cursor. */
export interface Note {
  /** The name of a server-sent event, where the dialect has names. */
  readonly event?: string
  /** JSON or [DONE], without line breaks. */
  readonly data: string
}

/**
 * `cursor` is where a client that has seen it goes on: the number of the event that it shows or, in
 * a dialect that counts its own frames, how many there were with this one.
 */
export interface Frame extends Note {
  readonly cursor: number
}

export interface Projection {
  /** Frames of the request's acceptance, before any event. Called once, before `push`. */
  readonly begin: () => ReadonlyArray<Frame>
  /** None for an event that has nothing to say, such as held-back text. */
  readonly push: (event: RequestEvent) => ReadonlyArray<Frame>
  /**
   * A frame depends on the events before it: a resume projects from the start and drops what was
   * seen.
   */
  readonly needsHistory: boolean
  /** The highest cursor that the request may have given out in this dialect. */
  readonly cursorOf: (view: Progress) => number
  /** A chunk that is valid and says nothing, for clients whose idle timer ignores comments. */
  readonly idle: () => Note
  /** The stream breaks off for a reason that is no event of the request. */
  readonly fault: (body: ErrorBody) => Note
  /** Of an answer in server-sent events, besides those that all have. */
  readonly headers: Readonly<Record<string, string>>
}

/** How far a request has come. */
export type Progress = Pick<RequestView, "events" | "terminal">

/** Of a dialect in which each event has its own number and one frame at most. */
export const numberedByEvents: Pick<Projection, "begin" | "cursorOf" | "fault" | "headers"> = {
  begin: () => noFrames,
  cursorOf: (view) => view.events,
  fault: (body) => ({ data: JSON.stringify(body) }),
  headers: {},
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
