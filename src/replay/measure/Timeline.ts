// What happened when: a row of bins of equal width, of which there are never more than 100. When a
// run outgrows them, neighbours become one and the width doubles, so that a second and a week of
// load take the same memory. The whole run is the sum of its bins.
import { Histogram, type HistogramData } from "./Histogram.ts"

const binsMax = 100
const firstWidthMs = 100

const latencies = ["sendDelay", "ttft", "itl", "tpot", "e2e"] as const
export type Latency = (typeof latencies)[number]

const counts = [
  /** Due in this time. */
  "due",
  "late",
  "answered",
  "failed",
  /** Answered within every objective. */
  "good",
  /** Received in this time, as are the prompts' by the answers that say so. */
  "outputTokens",
  "promptTokens",
] as const
export type Count = (typeof counts)[number]

export class Bin {
  readonly latency: Record<Latency, Histogram> = {
    sendDelay: new Histogram(),
    ttft: new Histogram(),
    itl: new Histogram(),
    tpot: new Histogram(),
    e2e: new Histogram(),
  }
  readonly count: Record<Count, number> = {
    due: 0,
    late: 0,
    answered: 0,
    failed: 0,
    good: 0,
    outputTokens: 0,
    promptTokens: 0,
  }
  inFlightMax = 0

  /** Of the same time, in another process. */
  addBeside(other: Bin): this {
    this.addCounts(other)
    this.inFlightMax += other.inFlightMax
    return this
  }

  addNext(other: Bin): this {
    this.addCounts(other)
    this.inFlightMax = Math.max(this.inFlightMax, other.inFlightMax)
    return this
  }

  private addCounts(other: Bin): void {
    for (const name of latencies) this.latency[name].add(other.latency[name])
    for (const name of counts) this.count[name] += other.count[name]
  }
}

export interface BinData {
  readonly latency: Readonly<Record<Latency, HistogramData>>
  readonly count: Readonly<Record<Count, number>>
  readonly inFlightMax: number
}

export interface TimelineData {
  readonly widthMs: number
  readonly bins: ReadonlyArray<BinData>
}

export class Timeline {
  widthMs: number
  bins: Array<Bin> = []

  constructor(widthMs = firstWidthMs) {
    this.widthMs = widthMs
  }

  /** The bin of a time since the start. */
  at(ms: number): Bin {
    while (ms >= this.widthMs * binsMax) this.widen()
    const index = Math.max(0, Math.floor(ms / this.widthMs))
    while (this.bins.length <= index) this.bins.push(new Bin())
    return this.bins[index] ?? new Bin()
  }

  /** Of the same run, from another process: widths are the first one times powers of two. */
  add(other: Timeline): this {
    this.widened(other.widthMs)
    other.bins.forEach((bin, i) => {
      this.at(i * other.widthMs).addBeside(bin)
    })
    return this
  }

  total(): Bin {
    return this.bins.reduce((sum, bin) => sum.addNext(bin), new Bin())
  }

  /** In bins at least so wide. */
  widened(widthMs: number): this {
    while (this.widthMs < widthMs) this.widen()
    return this
  }

  toData(): TimelineData {
    const bins = this.bins.map(({ latency, count, inFlightMax }) => ({
      latency: {
        sendDelay: latency.sendDelay.toData(),
        ttft: latency.ttft.toData(),
        itl: latency.itl.toData(),
        tpot: latency.tpot.toData(),
        e2e: latency.e2e.toData(),
      },
      count: { ...count },
      inFlightMax,
    }))
    return { widthMs: this.widthMs, bins }
  }

  static fromData({ widthMs, bins }: TimelineData): Timeline {
    const timeline = new Timeline(widthMs)
    timeline.bins = bins.map((data) => {
      const bin = new Bin()
      for (const name of latencies) bin.latency[name].add(Histogram.fromData(data.latency[name]))
      for (const name of counts) bin.count[name] = data.count[name]
      bin.inFlightMax = data.inFlightMax
      return bin
    })
    return timeline
  }

  private widen(): void {
    const pairs: Array<Bin> = []
    this.bins.forEach((bin, i) => {
      const pair = pairs[i >> 1]
      if (pair === undefined) pairs.push(bin)
      else pair.addNext(bin)
    })
    this.bins = pairs
    this.widthMs *= 2
  }
}
