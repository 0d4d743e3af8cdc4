// One subscriber's way through one request: its own fold, the log offset up to which it has folded,
// and what its client has seen. Whoever feeds it frames in offset order (the live tail, or a read
// of history) can hand it to the other at any offset: it ignores what it has already folded.
import type { TokenEntry } from "../../schemas/types.ts"
import {
  apply,
  emptyState,
  type RequestEvent,
  type RequestState,
} from "../../streams/fold/requestState.ts"
import { LogError } from "../../streams/Log.ts"
import { RelayError, type Subscriber } from "./Relay.ts"

/** paused: the subscriber is full. over: it gets nothing any more. */
export type FollowerMode = "following" | "paused" | "over"

export interface FollowerOptions {
  readonly requestId: string
  readonly partition: number
  readonly subscriber: Subscriber
  /** Events up to it were delivered before, on another connection. */
  readonly cursor: number
  readonly offset: number
  /** Its history reaches up to here at least, also where the live tail is behind. */
  readonly end: number
  readonly choices: number
  /**
   * Retention may have removed the request's first entries: the first one seen must be a beginning.
   */
  readonly mustBegin: boolean
  /** It ended, by its deadline if not before: where the log lacks its end, that was removed. */
  readonly hasEnded: boolean
  /**
   * Called once, when the history was given, the subscriber is full, or it failed before either:
   * then the error goes here and not to the subscriber. null where there is no history.
   */
  readonly onSettled: ((error: RelayError | LogError | null) => void) | null
  readonly onOver: (follower: Follower) => void
}

export class Follower {
  readonly requestId: string
  readonly partition: number
  readonly state: RequestState
  mode: FollowerMode = "following"
  /** The first log offset that is not folded yet. */
  offset: number
  readonly end: number
  readonly #subscriber: Subscriber
  readonly #cursor: number
  readonly #onOver: FollowerOptions["onOver"]
  #onSettled: FollowerOptions["onSettled"]
  readonly #mayLackBeginning: boolean
  /** Until its first entry was seen. */
  #mustBegin: boolean
  readonly #hasEnded: boolean
  #events: Array<RequestEvent> = []
  #delivering = false
  #resumed = false
  #error: RelayError | LogError | null = null

  constructor(options: FollowerOptions) {
    this.requestId = options.requestId
    this.partition = options.partition
    this.state = emptyState(options.choices)
    this.offset = options.offset
    this.end = options.end
    this.#subscriber = options.subscriber
    this.#cursor = options.cursor
    this.#mayLackBeginning = options.mustBegin
    this.#mustBegin = options.mustBegin
    this.#hasEnded = options.hasEnded
    this.#onOver = options.onOver
    this.#onSettled = options.onSettled
  }

  /** A losing attempt's: it counts for nobody, now or ever. */
  isFenced(writer: string, entry: TokenEntry): boolean {
    const { attempt, claimant, terminal } = this.state
    if (terminal !== null || !("attempt" in entry) || entry.kind === "AttemptClaimed") return false
    return entry.attempt <= attempt && writer !== claimant
  }

  /** Folds one entry of its request; events wait for `deliver`. */
  take(writer: string, entry: TokenEntry): void {
    if (this.#error !== null) return
    if (this.#mustBegin) {
      this.#mustBegin = false
      if (entry.kind !== "AttemptClaimed" || entry.attempt !== 1) {
        this.#error = goneError(this.requestId)
        return
      }
    }
    const events = apply(this.state, writer, entry)
    if (events.length === 0) {
      if (entry.kind === "TokensGenerated" && this.#leavesGap(writer, entry)) {
        this.#error = this.#lacks(gapError(this.requestId))
      }
      return
    }
    for (const event of events) if (event.number > this.#cursor) this.#events.push(event)
  }

  /** Gives what was folded to the subscriber and says what became of it. */
  deliver(): FollowerMode {
    if (this.mode === "over") return this.mode
    const events = this.#events
    if (events.length > 0) {
      this.#events = []
      this.#delivering = true
      this.#resumed = false
      const takesMore = this.#subscriber.onEvents(events)
      this.#delivering = false
      if (!takesMore && !this.#resumed) this.#setPaused()
    }
    if (this.#error !== null) this.fail(this.#error)
    else if (this.state.terminal !== null) this.#finish()
    else if (this.mode === "paused") this.#settle(null)
    return this.mode
  }

  /** It was fed to the log's end and follows live from here. */
  join(): void {
    const saysNothing = this.#mustBegin && this.#cursor > 0
    const isRemoved = saysNothing || (this.#mayLackBeginning && this.#hasEnded)
    if (isRemoved) this.fail(goneError(this.requestId))
    else if (this.#isAhead) this.fail(this.#aheadError)
    else this.#settle(null)
  }

  /** True where it was paused and wants events again. */
  resume(): boolean {
    this.#resumed = this.#delivering
    if (this.mode !== "paused") return false
    this.mode = "following"
    return true
  }

  fail(error: RelayError | LogError): void {
    if (this.mode === "over") return
    const settles = this.#onSettled !== null
    this.close()
    if (!settles) this.#subscriber.onError(error)
    this.#settle(error)
  }

  close(): void {
    if (this.mode === "over") return
    this.mode = "over"
    this.#onOver(this)
  }

  /** Only a history read to its end shows it; a live event is never below a cursor given out. */
  get #isAhead(): boolean {
    return this.#onSettled !== null && this.#cursor > this.state.events
  }

  get #aheadError(): RelayError | LogError {
    return this.#lacks(aheadError(this.#cursor, this.state.events))
  }

  /** What is missing where retention may have been at work was removed by it. */
  #lacks(otherwise: RelayError | LogError): RelayError | LogError {
    return this.#mayLackBeginning ? goneError(this.requestId) : otherwise
  }

  #finish(): void {
    if (this.#isAhead) return this.fail(this.#aheadError)
    this.close()
    this.#settle(null)
  }

  #settle(error: RelayError | LogError | null): void {
    const onSettled = this.#onSettled
    this.#onSettled = null
    onSettled?.(error)
  }

  /** The subscriber may have closed itself while it was given events. */
  #setPaused(): void {
    if (this.mode === "following") this.mode = "paused"
  }

  #leavesGap(writer: string, entry: Extract<TokenEntry, { kind: "TokensGenerated" }>): boolean {
    const { attempt, claimant, terminal, choices } = this.state
    const counts = terminal === null && entry.attempt === attempt && writer === claimant
    return counts && entry.position > (choices[entry.choice]?.tokens ?? 0)
  }
}

export const goneError = (requestId: string) =>
  new RelayError({
    reason: "gone",
    message: `Request ${requestId} is older than what the log still holds.`,
  })

const aheadError = (cursor: number, events: number) =>
  new RelayError({
    reason: "cursorAhead",
    message: `The cursor ${cursor} is past the request's last event, ${events}.`,
  })

/** A healthy log has none: a record between was damaged. */
const gapError = (requestId: string) =>
  new LogError({ reason: "corrupt", message: `The log lacks a part of request ${requestId}.` })
