// The token bucket: pure, so that a process's own buckets and those that all gateways share decide
// alike.

export interface Rate {
  readonly requestsPerSecond: number
  readonly burst: number
}

export interface RateDecision {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  /** Until the bucket is full again. */
  readonly resetMs: number
  /** Until one more would be allowed; 0 where it is. */
  readonly retryAfterMs: number
}

export interface Bucket {
  readonly level: number
  readonly at: number
}

/** Refills are fractions: who waited exactly as long as told must not fail by the last bit. */
export const roundingMax = 1e-6

/** What to say of a bucket that held `level` tokens when one was asked for. */
export const decisionAt = (level: number, rate: Rate): RateDecision => {
  const allowed = level >= 1 - roundingMax
  const left = allowed ? Math.max(0, level - 1) : level
  const msOf = (tokens: number) => Math.ceil((tokens / rate.requestsPerSecond) * 1000)
  return {
    allowed,
    limit: Math.floor(rate.burst),
    remaining: Math.floor(left),
    resetMs: msOf(rate.burst - left),
    retryAfterMs: allowed ? 0 : Math.max(1, msOf(1 - level)),
  }
}

/** One token from a bucket as it was left. */
export const takeToken = (
  bucket: Bucket | undefined,
  rate: Rate,
  now: number,
): { readonly bucket: Bucket; readonly decision: RateDecision } => {
  const refilled =
    bucket === undefined
      ? rate.burst
      : bucket.level + (Math.max(0, now - bucket.at) / 1000) * rate.requestsPerSecond
  const level = Math.min(rate.burst, refilled)
  const decision = decisionAt(level, rate)
  const left = decision.allowed ? Math.max(0, level - 1) : level
  return { bucket: { level: left, at: now }, decision }
}
