// What an answer tells the metrics: time to first token, time between tokens, and how the request
// ended. Only the answer to the client that made the request is metered; resumed streams and
// repeated calls under an idempotency key are not, so nothing is counted twice.
import type { TerminalEvent } from "../../../streams/fold/requestState.ts"
import type { Metrics, RequestSample } from "../../telemetry/Metrics.ts"

export interface MeterOptions {
  readonly metrics: Metrics["Service"]
  readonly model: string
  readonly promptTokens: number
  readonly now: () => number
}

const statuses: Record<TerminalEvent["outcome"], RequestSample["status"]> = {
  finished: "ok",
  failed: "error",
  deadLettered: "error",
  cancelled: "cancelled",
  expired: "expired",
}

export class Meter {
  readonly #options: MeterOptions
  readonly #startedAt: number
  #lastAt = 0
  #tokens = 0
  #isMuted = false

  constructor(options: MeterOptions) {
    this.#options = options
    this.#startedAt = options.now()
  }

  /** The request was another call's: that one counts it. */
  mute(): void {
    this.#isMuted = true
  }

  /** One observation a delivery: tokens that came together share the time since the one before. */
  delivered(tokens: number): void {
    if (tokens === 0 || this.#isMuted) return
    const { metrics, model, now } = this.#options
    const at = now()
    if (this.#tokens === 0) metrics.firstToken(model, (at - this.#startedAt) / 1000)
    else metrics.interToken(model, (at - this.#lastAt) / 1000 / tokens)
    this.#tokens += tokens
    this.#lastAt = at
  }

  ended(terminal: TerminalEvent): void {
    this.#record(statuses[terminal.outcome], terminal.promptTokens, terminal.completionTokens)
  }

  /** The answer broke off without a terminal event. */
  broke(): void {
    this.#record("error", this.#options.promptTokens, this.#tokens)
  }

  #record(status: RequestSample["status"], promptTokens: number, completionTokens: number): void {
    if (this.#isMuted) return
    const { metrics, model, now } = this.#options
    metrics.requestEnded({
      model,
      status,
      durationSeconds: (now() - this.#startedAt) / 1000,
      promptTokens,
      completionTokens,
    })
  }
}
