// What the console's page is told, four times a second: rates, quantiles, workers, and the requests
// that went on since. Pure but for what it is given. Over a bound of changes a update, it shows one
// request in k, but that one with all its changes.
import type { WorkerStatus } from "../../schemas/types.ts"
import type { Timeline, Timelines, Totals } from "./timelines.ts"

/** Changes in one update above which fewer requests are shown, and below which more are. */
const changesMax = 250
const changesFew = 60
const sampleMax = 1024
const workersShownMax = 64
const quantileWindowMs = 10_000

/** Of this process and its worker thread, by metric name: what no record tells. */
export type Gauges = Readonly<Record<string, number>>

export interface Update {
  /** ms since the epoch */
  readonly at: number
  readonly requestsPerSecond: number
  readonly tokensPerSecond: number
  readonly ttftP50Ms: number | null
  readonly ttftP99Ms: number | null
  readonly waiting: { readonly byTier: Record<string, number>; readonly oldestMs: number }
  readonly logLagMs: number
  readonly totals: Totals
  readonly workers: ReadonlyArray<WorkerStatus>
  readonly gauges: Gauges
  readonly requests: ReadonlyArray<Timeline>
  /** One request in so many is shown. */
  readonly sample: number
}

export interface UpdateParts {
  readonly nowMs: number
  readonly workers: ReadonlyArray<WorkerStatus>
  readonly gauges: Gauges
}

const quantile = (sorted: ReadonlyArray<number>, share: number): number | null =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null

/** The id's random tail: the same sample on every gateway. */
const isSampled = ({ id }: Timeline, sample: number): boolean =>
  parseInt(id.slice(-4), 16) % sample === 0

export class LiveView {
  readonly #timelines: Timelines
  #last: { readonly at: number; readonly accepted: number; readonly tokens: number }
  #change = 0
  #sample = 1

  constructor(timelines: Timelines, nowMs: number) {
    this.#timelines = timelines
    const { accepted, tokens } = timelines.totals
    this.#last = { at: nowMs, accepted, tokens }
  }

  /** What changed since the last one; the first has all that is remembered, within bounds. */
  update({ nowMs, workers, gauges }: UpdateParts): Update {
    const timelines = this.#timelines
    const seconds = Math.max(0.001, (nowMs - this.#last.at) / 1000)
    const { accepted, tokens } = timelines.totals
    const delays = timelines.firstTokenDelays(nowMs - quantileWindowMs)
    const update: Update = {
      at: nowMs,
      requestsPerSecond: (accepted - this.#last.accepted) / seconds,
      tokensPerSecond: (tokens - this.#last.tokens) / seconds,
      ttftP50Ms: quantile(delays, 0.5),
      ttftP99Ms: quantile(delays, 0.99),
      waiting: timelines.waiting(nowMs),
      logLagMs: timelines.logLagMs,
      totals: { ...timelines.totals },
      workers: workers.slice(0, workersShownMax),
      gauges,
      requests: this.#requests(),
      sample: this.#sample,
    }
    this.#last = { at: nowMs, accepted, tokens }
    return update
  }

  #requests(): ReadonlyArray<Timeline> {
    const isFirst = this.#change === 0
    const changed = this.#timelines.changedAfter(this.#change)
    this.#change = this.#timelines.change
    if (isFirst) return changed.slice(-changesMax)
    const shown = changed.filter((one) => isSampled(one, this.#sample))
    if (shown.length > changesMax) {
      this.#sample = Math.min(sampleMax, this.#sample * 2)
      return shown.filter((one) => isSampled(one, this.#sample)).slice(-changesMax)
    }
    if (shown.length < changesFew) this.#sample = Math.max(1, this.#sample / 2)
    return shown
  }
}
