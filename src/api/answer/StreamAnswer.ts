// One subscriber that shows a request's events to one client: relay on one side, outlet on the
// other, the dialect's projection between them. Plain code: no fiber wakes for a token. What
// arrives before the request is known to be durable waits; nothing is written until `open`.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import type { RequestEvent, TerminalEvent } from "../../../streams/fold/requestState.ts"
import type { LogError } from "../../../streams/Log.ts"
import type { RelayError, Subscriber, Subscription } from "../../relay/Relay.ts"
import { apiError, type Failure, toErrorBody } from "../errors.ts"
import type { Projection } from "./dialect/Projection.ts"
import type { Meter } from "./Meter.ts"
import type { MakeOutlet, Outlet } from "./Outlet.ts"
import type { Beating, PacerShape } from "./Pacer.ts"

/** gone: the client left. broke: the subscription could not go on. */
export interface AnswerEnd {
  readonly outcome: TerminalEvent["outcome"] | "gone" | "broke"
  readonly completionTokens: number
}

export interface StreamAnswerOptions {
  readonly makeOutlet: MakeOutlet
  readonly pacer: PacerShape
  /** null for a resumed stream. */
  readonly meter: Meter | null
}

export interface StreamStart {
  readonly request: RequestAccepted
  readonly projection: Projection
  /** Frames up to it were seen by the client. */
  readonly cursor: number
}

/** Deliveries that may wait for `open`; then the relay is told to stop. */
const heldMax = 64

/** Past the deadline by so much, a request whose end never came is told to be expired. */
export const deadlineGraceMs = 10_000

export class StreamAnswer implements Subscriber, Beating {
  readonly #options: StreamAnswerOptions
  #held: Array<ReadonlyArray<RequestEvent>> = []
  #early: Failure | null = null
  #subscription: Subscription | null = null
  #start: StreamStart | null = null
  #outlet: Outlet | null = null
  #paused = false
  #tokens = 0
  #end: AnswerEnd | null = null
  #onEnd: (end: AnswerEnd) => void = () => {}

  constructor(options: StreamAnswerOptions) {
    this.#options = options
  }

  /** Waits for the answer's end; one fiber, woken once. */
  readonly ended = Effect.callback<AnswerEnd>((resume) => {
    if (this.#end !== null) return resume(Effect.succeed(this.#end))
    this.#onEnd = (end) => resume(Effect.succeed(end))
  })

  get dialect(): string | null {
    return this.#start?.request.dialect ?? null
  }

  get isPaused(): boolean {
    return this.#paused
  }

  /** What went wrong before `open`. */
  get refused(): Failure | null {
    return this.#early
  }

  attach(subscription: Subscription): void {
    this.#subscription = subscription
    if (this.#end !== null) subscription.close()
  }

  /** The request is durable: from here on bytes flow. */
  open(start: StreamStart): void {
    if (this.#end !== null) return
    const hooks = { onRoom: () => this.#resume(), onGone: () => this.gone() }
    const { makeOutlet, pacer } = this.#options
    const outlet = makeOutlet(hooks, start.request.requestId, start.projection)
    if (this.#end !== null) return
    this.#start = start
    this.#outlet = outlet
    pacer.join(this)
    const held = this.#held
    this.#held = []
    for (const frame of start.projection.begin()) {
      if (frame.cursor > start.cursor) outlet.put(frame)
    }
    outlet.commit()
    // Told to wait by what was held, the relay gives nothing until it is told to go on.
    const isWaiting = this.#paused
    for (const events of held) this.#deliver(start, outlet, events)
    this.#paused ||= isWaiting
    if (this.#early !== null) this.#break(this.#early)
    else if (!outlet.full) this.#resume()
  }

  onEvents(events: ReadonlyArray<RequestEvent>): boolean {
    if (this.#end !== null) return false
    if (this.#start === null || this.#outlet === null) {
      this.#held.push(events)
      this.#paused = this.#held.length >= heldMax
    } else {
      this.#deliver(this.#start, this.#outlet, events)
    }
    return !this.#paused
  }

  onError(error: RelayError | LogError): void {
    if (this.#outlet === null) this.#early = error
    else this.#break(error)
  }

  beat(nowMs: number): void {
    if (this.#start !== null && nowMs > this.#start.request.deadline + deadlineGraceMs) {
      this.#break(apiError("expired", "The request was not finished by its deadline."))
    }
  }

  gone(): void {
    this.#finish("gone", this.#tokens)
  }

  /** Idempotent; nothing is delivered after it. */
  close(): void {
    this.#subscription?.close()
    this.#options.pacer.leave(this)
  }

  #deliver(start: StreamStart, outlet: Outlet, events: ReadonlyArray<RequestEvent>): void {
    const { meter } = this.#options
    let tokens = 0
    for (const event of events) {
      for (const frame of start.projection.push(event)) {
        if (frame.cursor > start.cursor) outlet.put(frame)
      }
      if (event.kind === "terminal") {
        outlet.end()
        meter?.delivered(tokens)
        meter?.ended(event)
        return this.#finish(event.outcome, event.completionTokens)
      }
      tokens += 1
      if (event.finish !== null) meter?.finished(event.finish)
    }
    this.#tokens += tokens
    outlet.commit()
    meter?.delivered(tokens)
    this.#paused = outlet.full
  }

  /** The client sees why; it may come back with its cursor. */
  #break(error: Failure): void {
    if (this.#end !== null) return
    this.#outlet?.fail(toErrorBody(error))
    this.#options.meter?.broke()
    this.#finish("broke", this.#tokens)
  }

  #resume(): void {
    if (!this.#paused || this.#end !== null) return
    this.#paused = false
    this.#subscription?.resume()
  }

  #finish(outcome: AnswerEnd["outcome"], completionTokens: number): void {
    if (this.#end !== null) return
    this.#end = { outcome, completionTokens }
    this.close()
    this.#onEnd(this.#end)
  }
}
