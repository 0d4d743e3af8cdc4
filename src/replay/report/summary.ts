// A report's figures by name, each once: the table, the page, the comparison and vLLM's field names
// take them from here.
import type { Histogram } from "../measure/Histogram.ts"
import type { Bin } from "../measure/Timeline.ts"
import { type ReportData, tallyOf } from "./Report.ts"

export interface Summary {
  readonly total: Bin
  readonly seconds: number
  readonly requests: number
  readonly requestsPerSecond: number
  readonly duePerSecond: number
  readonly goodPerSecond: number
  /** Of the requests that were due; 1 where no objective was set and none failed. */
  readonly goodShare: number
  readonly outputTokensPerSecond: number
  readonly promptTokensPerSecond: number
  readonly inFlightMax: number
}

export const summarise = (report: ReportData): Summary => {
  const { timeline } = tallyOf(report)
  const total = timeline.total()
  const seconds = Math.max(1e-9, report.durationMs / 1000)
  const { due, answered, good, outputTokens, promptTokens } = total.count
  const dueSeconds = Math.max(1, timeline.bins.length) * (timeline.widthMs / 1000)
  return {
    total,
    seconds,
    requests: due,
    requestsPerSecond: answered / seconds,
    duePerSecond: due / Math.min(seconds, dueSeconds),
    goodPerSecond: good / seconds,
    goodShare: due === 0 ? 0 : good / due,
    outputTokensPerSecond: outputTokens / seconds,
    promptTokensPerSecond: promptTokens / seconds,
    inFlightMax: total.inFlightMax,
  }
}

export const quantileShares = [0.5, 0.9, 0.95, 0.99, 0.999] as const

export const quantileName = (share: number): string => `p${Number((share * 100).toFixed(1))}`

/** A time with as many digits as it is worth. */
export const showMs = (ms: number): string =>
  ms >= 10_000
    ? `${(ms / 1000).toFixed(1)} s`
    : ms >= 100
      ? `${Math.round(ms)} ms`
      : ms >= 10
        ? `${ms.toFixed(1)} ms`
        : `${ms.toFixed(2)} ms`

export const showNumber = (value: number): string =>
  value >= 1000
    ? Math.round(value).toLocaleString("en-US")
    : Number.isInteger(value)
      ? String(value)
      : value.toFixed(value >= 100 ? 0 : 2)

export const latencyRows = (total: Bin): ReadonlyArray<readonly [name: string, of: Histogram]> => [
  ["Time to first token", total.latency.ttft],
  ["Between pieces", total.latency.itl],
  ["Time per output token", total.latency.tpot],
  ["End to end", total.latency.e2e],
  ["Send after due", total.latency.sendDelay],
]
