// What an answer tells the metrics: time to first token, time between tokens, and how the request
// ended. Only the answer to the client that made the request is metered; resumed streams and
// repeated calls under an idempotency key are not, so nothing is counted twice.
import type { TerminalEvent } from "../../../streams/fold/requestState.ts"
import type { FinishReason } from "../../../schemas/types.ts"
import type { ConfigShape } from "../../config/Config.ts"
import type { Metrics, RequestSample } from "../../telemetry/Metrics.ts"
import type { TracesShape } from "../../telemetry/Traces.ts"

export interface MeterOptions {
  readonly metrics: Metrics["Service"]
  readonly model: string
  /** "": there is only one. */
  readonly tenant: string
  readonly prices: ConfigShape["prices"]
  readonly traces: TracesShape
  /** null: it is not traced. */
  readonly traceparent: string | null
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

const million = 1e6

export class Meter {
  readonly #options: MeterOptions
  readonly #startedAt: number
  #firstAt = 0
  #lastAt = 0
  #tokens = 0
  #finish: FinishReason = "stop"
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
    if (this.#tokens === 0) this.#firstAt = at
    if (this.#tokens === 0) metrics.firstToken(model, (at - this.#startedAt) / 1000)
    else metrics.interToken(model, (at - this.#lastAt) / 1000 / tokens)
    this.#tokens += tokens
    this.#lastAt = at
  }

  /** Of one choice; the last one's stands for the request. */
  finished(reason: FinishReason): void {
    this.#finish = reason
  }

  ended(terminal: TerminalEvent): void {
    this.#record(statuses[terminal.outcome], terminal.promptTokens, terminal.completionTokens)
  }

  /** The answer broke off without a terminal event. */
  broke(): void {
    this.#record("error", this.#options.promptTokens, this.#tokens)
  }

  /** From the first token that reached this gateway to the last. */
  #trace(tokens: number): void {
    const { traces, traceparent, now } = this.#options
    if (traceparent === null || this.#firstAt === 0) return
    const span = { name: "relay", parent: traceparent, startMs: this.#firstAt, endMs: now() }
    traces.record({ ...span, attributes: { "gen_ai.usage.output_tokens": tokens } })
  }

  #reason(status: RequestSample["status"]): RequestSample["reason"] {
    if (status === "ok") return this.#finish
    return status === "error" ? "error" : "abort"
  }

  #record(status: RequestSample["status"], promptTokens: number, completionTokens: number): void {
    if (this.#isMuted) return
    const { metrics, model, tenant, prices, now } = this.#options
    this.#trace(completionTokens)
    const worth =
      promptTokens * prices.promptPerMillion + completionTokens * prices.completionPerMillion
    if (worth > 0) metrics.count("sluice_revenue_total", { model }, worth / million)
    metrics.requestEnded({
      model,
      tenant: tenant === "" ? "none" : tenant,
      status,
      reason: this.#reason(status),
      durationSeconds: (now() - this.#startedAt) / 1000,
      promptTokens,
      completionTokens,
    })
  }
}
