// Buckets in this process's memory. A tenant that was not seen for long starts with a full bucket
// again.
import { type Bucket, type Rate, type RateDecision, takeToken } from "./tokenBucket.ts"

/** Past it the longest unseen tenant is forgotten: it starts full again, which only favours it. */
const tenantsMax = 10_000

export class MemoryBuckets {
  readonly #buckets = new Map<string, Bucket>()

  take(tenant: string, rate: Rate, now: number): RateDecision {
    const { bucket, decision } = takeToken(this.#buckets.get(tenant), rate, now)
    // Out and in again: the map's first entry is the longest unseen.
    this.#buckets.delete(tenant)
    this.#buckets.set(tenant, bucket)
    if (this.#buckets.size > tenantsMax) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest)
        break
      }
    }
    return decision
  }
}
