// How long streams stood still after a fault: of each stream that was flowing when the fault came,
// the time from the fault to its next event, where that is longer than its own pace explains.
import type { Fault } from "./Fleet.ts"

export interface Recovery {
  readonly fault: string
  readonly faults: number
  /** Streams that stood still. */
  readonly streams: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** A stream that had an event so shortly before counts as flowing. */
const flowingMs = 250
/** Pauses below it are a stream's own pace. */
const pauseMs = 250
/** A process goes on saying what it had in hand for so long. */
const lastWordsMs = 100

/** Ascending arrivals of one stream; null where it flowed on, or was not flowing. */
export const pauseAfter = (arrivals: ReadonlyArray<number>, at: number): number | null => {
  let low = 0
  let high = arrivals.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((arrivals[middle] ?? 0) < at) low = middle + 1
    else high = middle
  }
  const before = arrivals[low - 1]
  if (before === undefined || at - before > flowingMs) return null
  for (let i = low; i < arrivals.length; i++) {
    const from = arrivals[i - 1] ?? at
    if (from > at + lastWordsMs) return null
    const next = arrivals[i] ?? at
    if (next - Math.max(from, at) > pauseMs) return next - at
  }
  return null
}

const at = (sorted: ReadonlyArray<number>, share: number): number =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)

export const recoveries = (
  faults: ReadonlyArray<Fault>,
  streams: ReadonlyArray<ReadonlyArray<number>>,
): ReadonlyArray<Recovery> => {
  const byName = Map.groupBy(faults, ({ name }) => name)
  return [...byName].map(([fault, all]) => {
    const pauses = all
      .flatMap((one) => streams.flatMap((arrivals) => pauseAfter(arrivals, one.at) ?? []))
      .toSorted((a, b) => a - b)
    return {
      fault,
      faults: all.length,
      streams: pauses.length,
      p50Ms: at(pauses, 0.5),
      p99Ms: at(pauses, 0.99),
      maxMs: Math.round(pauses.at(-1) ?? 0),
    }
  })
}
