// Counts of durations in buckets that are 1/128 of their value wide: a quantile is right to half a
// percent, whatever the number of samples, and the memory is that of the buckets in use. Two add up
// to the histogram of both, which is how processes, bins of time and resamples become one.

const subBits = 7
const subBuckets = 1 << subBits
const microsMax = 2 ** 32 - 1
const microsPerMs = 1000

/** Whole microseconds below 128 have a bucket each; above, 128 buckets an octave. */
const bucketOf = (micros: number): number => {
  if (micros < subBuckets) return micros
  const shift = 31 - Math.clz32(micros) - subBits
  return (shift + 1) * subBuckets + ((micros >>> shift) - subBuckets)
}

/** The middle of a bucket, in ms. */
const middleOf = (bucket: number): number => {
  if (bucket < subBuckets) return bucket / microsPerMs
  const shift = Math.floor(bucket / subBuckets) - 1
  const from = (subBuckets + (bucket % subBuckets)) * 2 ** shift
  return (from + (2 ** shift - 1) / 2) / microsPerMs
}

export interface HistogramData {
  readonly count: number
  readonly sumMs: number
  readonly squaresMs: number
  readonly minMs: number
  readonly maxMs: number
  /** Bucket, count, bucket, count ... in rising order. */
  readonly buckets: ReadonlyArray<number>
}

export class Histogram {
  count = 0
  private sum = 0
  private squares = 0
  private least = Infinity
  private most = 0
  private readonly buckets = new Map<number, number>()

  record(ms: number): void {
    const micros = Math.min(microsMax, Math.max(0, Math.round(ms * microsPerMs)))
    const bucket = bucketOf(micros)
    this.buckets.set(bucket, (this.buckets.get(bucket) ?? 0) + 1)
    this.count++
    this.sum += ms
    this.squares += ms * ms
    if (ms < this.least) this.least = ms
    if (ms > this.most) this.most = ms
  }

  /** `times`: how often the other one counts. */
  add(other: Histogram, times = 1): this {
    if (other.count === 0 || times === 0) return this
    for (const [bucket, count] of other.buckets) {
      this.buckets.set(bucket, (this.buckets.get(bucket) ?? 0) + count * times)
    }
    this.count += other.count * times
    this.sum += other.sum * times
    this.squares += other.squares * times
    this.least = Math.min(this.least, other.least)
    this.most = Math.max(this.most, other.most)
    return this
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count
  }

  get deviation(): number {
    if (this.count === 0) return 0
    return Math.sqrt(Math.max(0, this.squares / this.count - this.mean ** 2))
  }

  get max(): number {
    return this.most
  }

  get min(): number {
    return this.count === 0 ? 0 : this.least
  }

  /** By nearest rank; 0 where there is no sample. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count))
    let seen = 0
    for (const [bucket, count] of this.sorted()) {
      seen += count
      if (seen >= rank) return Math.min(this.most, Math.max(this.least, middleOf(bucket)))
    }
    return 0
  }

  /** Rising points of the distribution: up to which time how large a share is done. */
  cdf(): ReadonlyArray<readonly [ms: number, share: number]> {
    let seen = 0
    return this.sorted().map(([bucket, count]) => {
      seen += count
      return [middleOf(bucket), seen / this.count] as const
    })
  }

  toData(): HistogramData {
    return {
      count: this.count,
      sumMs: this.sum,
      squaresMs: this.squares,
      minMs: this.min,
      maxMs: this.most,
      buckets: this.sorted().flat(),
    }
  }

  static fromData(data: HistogramData): Histogram {
    const histogram = new Histogram()
    histogram.count = data.count
    histogram.sum = data.sumMs
    histogram.squares = data.squaresMs
    histogram.least = data.count === 0 ? Infinity : data.minMs
    histogram.most = data.maxMs
    for (let i = 0; i + 1 < data.buckets.length; i += 2) {
      histogram.buckets.set(data.buckets[i] ?? 0, data.buckets[i + 1] ?? 0)
    }
    return histogram
  }

  private sorted(): ReadonlyArray<readonly [bucket: number, count: number]> {
    return [...this.buckets].sort(([a], [b]) => a - b)
  }
}
