// One subscriber that gathers a request's events and answers once, when the request has ended. Its
// memory is bounded by the tokens that were admitted. A request that ended badly becomes an error
// with its own status, since nothing was written before, beside the tokens that there are.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import type { RequestEvent, TerminalEvent } from "../../../streams/fold/requestState.ts"
import type { LogError } from "../../../streams/Log.ts"
import type { RelayError, Subscriber, Subscription } from "../../relay/Relay.ts"
import { apiError, type Failure, type HttpError, toHttp } from "../errors.ts"
import type { Collector } from "./dialect/Projection.ts"
import { terminalError } from "./dialect/terminalError.ts"
import type { Exchange } from "./Exchange.ts"
import type { Meter } from "./Meter.ts"
import type { Beating, PacerShape } from "./Pacer.ts"
import { type AnswerEnd, deadlineGraceMs } from "./StreamAnswer.ts"

export interface WholeAnswerOptions {
  readonly exchange: Exchange
  readonly pacer: PacerShape
  readonly meter: Meter
}

export class WholeAnswer implements Subscriber, Beating {
  readonly #options: WholeAnswerOptions
  #held: Array<RequestEvent> = []
  #subscription: Subscription | null = null
  #request: RequestAccepted | null = null
  #collector: Collector | null = null
  #early: Failure | null = null
  #tokens = 0
  #end: Effect.Effect<AnswerEnd, Failure> | null = null
  #onEnd: (end: Effect.Effect<AnswerEnd, Failure>) => void = () => {}
  readonly #onClose = () => this.#finish(this.#left())

  constructor(options: WholeAnswerOptions) {
    this.#options = options
    options.exchange.res.once("close", this.#onClose)
    options.pacer.join(this)
  }

  readonly ended = Effect.callback<AnswerEnd, Failure>((resume) => {
    if (this.#end !== null) return resume(this.#end)
    this.#onEnd = resume
  })

  /** What went wrong before `open`. */
  get refused(): Failure | null {
    return this.#early
  }

  attach(subscription: Subscription): void {
    this.#subscription = subscription
    if (this.#end !== null) subscription.close()
  }

  open(request: RequestAccepted, collector: Collector): void {
    this.#request = request
    this.#collector = collector
    const held = this.#held
    this.#held = []
    this.onEvents(held)
    if (this.#early !== null) this.#fail(this.#early)
    if (this.#options.exchange.res.destroyed) this.#finish(this.#left())
  }

  onEvents(events: ReadonlyArray<RequestEvent>): boolean {
    if (this.#end !== null) return false
    if (this.#request === null || this.#collector === null) {
      for (const event of events) this.#held.push(event)
      return true
    }
    let tokens = 0
    for (const event of events) {
      if (event.kind === "terminal") {
        this.#options.meter.delivered(tokens)
        return this.#terminated(event, this.#request, this.#collector)
      }
      tokens += 1
      if (event.finish !== null) this.#options.meter.finished(event.finish)
      this.#collector.push(event)
    }
    this.#tokens += tokens
    this.#options.meter.delivered(tokens)
    return true
  }

  onError(error: RelayError | LogError): void {
    if (this.#request === null) this.#early = error
    else this.#fail(error)
  }

  /** It is counted among its connections: nothing streams. */
  get dialect(): null {
    return null
  }

  get isPaused(): boolean {
    return false
  }

  beat(nowMs: number): void {
    if (this.#request !== null && nowMs > this.#request.deadline + deadlineGraceMs) {
      this.#fail(apiError("expired", "The request was not finished by its deadline."))
    }
  }

  /** Idempotent. */
  close(): void {
    this.#subscription?.close()
    this.#options.pacer.leave(this)
    this.#options.exchange.res.off("close", this.#onClose)
  }

  #left(): Effect.Effect<AnswerEnd> {
    return Effect.succeed({ outcome: "gone", completionTokens: this.#tokens })
  }

  #terminated(event: TerminalEvent, request: RequestAccepted, collector: Collector): boolean {
    this.#options.meter.ended(event)
    const { status, headers, body } = wholeOf(event, request, collector)
    const { res } = this.#options.exchange
    this.close()
    res.writeHead(status, { ...headers, "x-request-id": request.requestId })
    res.end(body)
    this.#finish(
      Effect.succeed({ outcome: event.outcome, completionTokens: event.completionTokens }),
    )
    return false
  }

  #fail(error: Failure): void {
    if (this.#end !== null) return
    this.#options.meter.broke()
    this.#finish(Effect.fail(error))
  }

  #finish(end: Effect.Effect<AnswerEnd, Failure>): void {
    if (this.#end !== null) return
    this.#end = end
    this.close()
    this.#onEnd(end)
  }
}

const wholeOf = (
  event: TerminalEvent,
  request: RequestAccepted,
  collector: Collector,
): HttpError => {
  const error = terminalError(event)
  if (error !== null) {
    // Only a finished request's end counts its prompt.
    const promptTokens = request.prompts.reduce((sum, prompt) => sum + prompt.length, 0)
    const partial: Record<string, unknown> = JSON.parse(collector.body({ ...event, promptTokens }))
    return toHttp(error, partial)
  }
  const body = collector.body(event)
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
  }
  return { status: 200, headers, body }
}
