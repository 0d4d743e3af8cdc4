// How sure a difference between two runs is. Requests that are due together meet the same queue, so
// single requests are no independent samples: blocks of time are drawn again, with what fell into
// them, and the middle 95 % of the differences is the interval.
import { Histogram } from "../measure/Histogram.ts"
import type { Bin } from "../measure/Timeline.ts"
import { seeded } from "../plan/random.ts"

const resamples = 400
const blocksMax = 24

/** A figure of some bins. */
export type Statistic = (bins: ReadonlyArray<Bin>) => number

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Bins in a row, joined, so that blocks are longer than what a queue remembers. */
const blocksOf = (bins: ReadonlyArray<Bin>): ReadonlyArray<ReadonlyArray<Bin>> => {
  const each = Math.max(1, Math.ceil(bins.length / blocksMax))
  const count = Math.ceil(bins.length / each)
  return Array.from({ length: count }, (_, i) => bins.slice(i * each, (i + 1) * each))
}

const middle = (values: Float64Array): Interval => {
  const sorted = values.toSorted()
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0
  return { low: at(0.025), high: at(0.975) }
}

/** null: too short a run to say anything. */
export const intervalOfDifference = (
  a: ReadonlyArray<Bin>,
  b: ReadonlyArray<Bin>,
  statistic: Statistic,
): Interval | null => {
  const [blocksA, blocksB] = [blocksOf(a), blocksOf(b)]
  if (Math.min(blocksA.length, blocksB.length) < 5) return null
  const random = seeded(1)
  const draw = (blocks: ReadonlyArray<ReadonlyArray<Bin>>) =>
    statistic(blocks.flatMap(() => blocks[Math.floor(random() * blocks.length)] ?? []))
  return middle(Float64Array.from({ length: resamples }, () => draw(blocksB) - draw(blocksA)))
}

export const joined = (bins: ReadonlyArray<Bin>, of: (bin: Bin) => Histogram): Histogram =>
  bins.reduce((sum, bin) => sum.add(of(bin)), new Histogram())
