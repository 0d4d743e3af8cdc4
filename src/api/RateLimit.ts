// A token bucket for each tenant, behind a port: in this process now, shared between gateways
// later. A tenant that was not seen for long starts with a full bucket again.
import { Clock, Context, Effect, Layer } from "effect"

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

interface Bucket {
  readonly level: number
  readonly at: number
}

/** Past it the longest unseen tenant is forgotten: it starts full again, which only favours it. */
const tenantsMax = 10_000

/** Refills are fractions: who waited exactly as long as told must not fail by the last bit. */
const roundingMax = 1e-6

/** One token from a bucket as it was left: pure, so that a shared store can do the same. */
const takeToken = (
  bucket: Bucket | undefined,
  rate: Rate,
  now: number,
): { readonly bucket: Bucket; readonly decision: RateDecision } => {
  const refilled =
    bucket === undefined
      ? rate.burst
      : bucket.level + (Math.max(0, now - bucket.at) / 1000) * rate.requestsPerSecond
  const level = Math.min(rate.burst, refilled)
  const allowed = level >= 1 - roundingMax
  const left = allowed ? Math.max(0, level - 1) : level
  const msOf = (tokens: number) => Math.ceil((tokens / rate.requestsPerSecond) * 1000)
  return {
    bucket: { level: left, at: now },
    decision: {
      allowed,
      limit: rate.burst,
      remaining: Math.floor(left),
      resetMs: msOf(rate.burst - left),
      retryAfterMs: allowed ? 0 : Math.max(1, msOf(1 - level)),
    },
  }
}

export class RateLimit extends Context.Service<
  RateLimit,
  {
    readonly take: (tenant: string, rate: Rate) => Effect.Effect<RateDecision>
  }
>()("sluice/api/RateLimit") {
  /** Buckets in this process's memory. */
  static readonly layerMemory = Layer.sync(RateLimit, () => {
    const buckets = new Map<string, Bucket>()
    const take = (tenant: string, rate: Rate) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const { bucket, decision } = takeToken(buckets.get(tenant), rate, now)
        // Out and in again: the map's first entry is the longest unseen.
        buckets.delete(tenant)
        buckets.set(tenant, bucket)
        if (buckets.size > tenantsMax) {
          for (const oldest of buckets.keys()) {
            buckets.delete(oldest)
            break
          }
        }
        return decision
      })
    return { take }
  })
}
