// How often a tenant may ask: a token bucket each, in this process's memory, or in a Redis that all
// gateways share. Without Redis for a while the limits hold all the same: each gateway then gives
// its part of the rate.
import { randomUUID } from "node:crypto"
import { Clock, Context, Effect, Layer, Schedule } from "effect"
import { Config } from "../config/Config.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { MemoryBuckets } from "./rate/MemoryBuckets.ts"
import type { Rate, RateDecision } from "./rate/tokenBucket.ts"

const countEveryMs = 5000

/** What each of several gateways gives while they cannot share; one at once at least. */
const partOf = (rate: Rate, gateways: number): Rate => ({
  requestsPerSecond: rate.requestsPerSecond / gateways,
  burst: Math.max(1, rate.burst / gateways),
})

const makeShared = Effect.fnUntraced(function* (url: string) {
  const clock = yield* Clock.Clock
  const metrics = yield* Metrics
  const context = yield* Effect.context<never>()
  const now = () => clock.currentTimeMillisUnsafe()
  const say = (up: boolean, message: string) => {
    metrics.gauge("sluice_redis_up", {}, up ? 1 : 0)
    Effect.runForkWith(context)(up ? Effect.logInfo(message) : Effect.logWarning(message))
  }
  // Loaded where it is used: it takes its time.
  const { RedisBuckets } = yield* Effect.promise(() => import("./rate/RedisBuckets.ts"))
  const redis = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new RedisBuckets({
          url,
          gateway: randomUUID(),
          now,
          onAway: (why) => say(false, `Redis is away, each gateway limits by itself: ${why}`),
          onBack: () => say(true, "Redis is back, gateways share their limits again"),
        }),
    ),
    ({ close }) => close,
  )
  metrics.gauge("sluice_redis_up", {}, 1)
  yield* redis.ready
  yield* redis.count.pipe(Effect.repeat(Schedule.spaced(countEveryMs)), Effect.forkScoped)
  const own = new MemoryBuckets()
  return RateLimit.of({
    take: (tenant, rate) =>
      Effect.map(redis.take(tenant, rate), (shared) => {
        if (shared !== null) return shared
        metrics.count("sluice_rate_fallbacks_total", {}, 1)
        return own.take(tenant, partOf(rate, redis.gateways), now())
      }),
  })
})

export class RateLimit extends Context.Service<
  RateLimit,
  {
    readonly take: (tenant: string, rate: Rate) => Effect.Effect<RateDecision>
  }
>()("sluice/api/RateLimit") {
  /** Buckets in this process's memory. */
  static readonly layerMemory = Layer.sync(RateLimit, () => {
    const buckets = new MemoryBuckets()
    return {
      take: (tenant, rate) =>
        Effect.map(Clock.currentTimeMillis, (now) => buckets.take(tenant, rate, now)),
    }
  })

  /** In the configured Redis; in memory where none is configured. */
  static readonly layer = Layer.unwrap(
    Effect.map(Config, ({ redis }) =>
      redis === "" || redis === "none"
        ? RateLimit.layerMemory
        : Layer.effect(RateLimit, makeShared(redis)),
    ),
  )
}
