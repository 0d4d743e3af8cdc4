// How long streams stood still after a fault: of each stream that was flowing when the fault came,
// the time from the fault to its next event, where that is longer than its own pace explains.
import type { Fault } from "./Fleet.ts"

/** Of all faults of one name. */
export interface Pauses {
  readonly fault: string
  readonly faults: number
  /** Ascending, one of each stream that stood still after each of them. */
  readonly pausesMs: ReadonlyArray<number>
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

export const pausesOf = (
  faults: ReadonlyArray<Fault>,
  streams: ReadonlyArray<ReadonlyArray<number>>,
): ReadonlyArray<Pauses> =>
  [...Map.groupBy(faults, ({ name }) => name)].map(([fault, all]) => ({
    fault,
    faults: all.length,
    pausesMs: ascending(
      all.flatMap((one) => streams.flatMap((arrivals) => pauseAfter(arrivals, one.at) ?? [])),
    ),
  }))

/** Of several runs together, the most frequent fault first. */
export const addPauses = (runs: ReadonlyArray<ReadonlyArray<Pauses>>): ReadonlyArray<Pauses> =>
  [...Map.groupBy(runs.flat(), ({ fault }) => fault)]
    .map(([fault, all]) => ({
      fault,
      faults: all.reduce((sum, { faults }) => sum + faults, 0),
      pausesMs: ascending(all.flatMap(({ pausesMs }) => pausesMs)),
    }))
    .toSorted((a, b) => b.faults - a.faults)

const ascending = (values: ReadonlyArray<number>) =>
  values.map((value) => Math.round(value)).toSorted((a, b) => a - b)

/** The value below which this share of them lies. */
export const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
