// Limits that several gateways share through a real Redis: one bucket for all, each gateway's part
// when Redis is away or hung, and one bucket again when it is back.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RateLimit } from "../../src/api/RateLimit.ts"
import { Config } from "../../src/config/Config.ts"
import { Metrics } from "../../src/telemetry/Metrics.ts"
import { layerMetrics } from "../../src/telemetry/registry.ts"
import { Redis } from "../support/services/Redis.ts"
import { unique } from "../support/services/addresses.ts"

let redis: Redis
beforeAll(async () => {
  redis = await Redis.start()
})
afterAll(() => redis.stop())

/** Slow enough that nothing refills while a test runs. */
const rate = { requestsPerSecond: 0.01, burst: 20 }

const gateway = Layer.suspend(() =>
  RateLimit.layer.pipe(
    Layer.provideMerge(layerMetrics),
    Layer.provide(Config.layerTest({ redis: redis.url })),
  ),
)

/** As another process would have it: nothing of it is shared in memory. */
const another = Effect.map(Layer.build(Layer.fresh(gateway)), (context) => {
  const run = <A, E>(effect: Effect.Effect<A, E, RateLimit | Metrics>) =>
    Effect.provide(effect, context)
  return {
    take: (tenant: string) => run(Effect.flatMap(RateLimit, (limit) => limit.take(tenant, rate))),
    allowed: (tenant: string, times: number) =>
      run(
        Effect.flatMap(RateLimit, (limit) =>
          Effect.forEach(Array.from({ length: times }), () => limit.take(tenant, rate)),
        ),
      ).pipe(Effect.map((all) => all.filter((one) => one.allowed).length)),
    exposition: run(Effect.flatMap(Metrics, (metrics) => Effect.promise(metrics.exposition))),
  }
})

describe("the limits of several gateways", () => {
  it.live("are one bucket", () =>
    Effect.gen(function* () {
      const tenant = unique("tenant")
      const one = yield* another
      const two = yield* another
      assert.strictEqual(yield* one.allowed(tenant, 12), 12)
      assert.strictEqual(yield* two.allowed(tenant, 12), 8)
      const refused = yield* one.take(tenant)
      assert.deepInclude(refused, { allowed: false, limit: 20, remaining: 0 })
      assert.isAbove(refused.retryAfterMs, 90_000)
      assert.isTrue((yield* two.take(unique("other"))).allowed)
    }).pipe(Effect.scoped),
  )

  it.live("refill by the rate", () =>
    Effect.gen(function* () {
      const one = yield* another
      const context = yield* Layer.build(Layer.fresh(gateway))
      const take = Effect.flatMap(RateLimit, (limit) =>
        limit.take("fast", { requestsPerSecond: 50, burst: 1 }),
      ).pipe(Effect.provide(context))
      assert.isTrue((yield* take).allowed)
      const refused = yield* take
      assert.isFalse(refused.allowed)
      yield* Effect.sleep(refused.retryAfterMs + 2)
      assert.isTrue((yield* take).allowed)
      assert.isTrue((yield* one.take(unique("x"))).allowed)
    }).pipe(Effect.scoped),
  )

  for (const [how, away, back] of [
    ["killed", () => redis.kill(), () => redis.restart()],
    ["hung", async () => redis.freeze(), async () => redis.thaw()],
  ] as const) {
    it.live(
      `hold, each its part, while Redis is ${how}, and are one again when it is back`,
      () =>
        Effect.gen(function* () {
          const one = yield* another
          const two = yield* another
          // Both have been counted by both.
          yield* Effect.sleep(5500)
          yield* Effect.promise(away)
          const tenant = unique("tenant")
          const began = performance.now()
          const allowed = [yield* one.allowed(tenant, 30), yield* two.allowed(tenant, 30)]
          assert.deepStrictEqual(allowed, [10, 10])
          assert.isBelow(performance.now() - began, 1000)
          assert.match(yield* one.exposition, /sluice_redis_up 0/)
          assert.match(yield* one.exposition, /sluice_rate_fallbacks_total [1-9]/)
          yield* Effect.promise(back)
          for (let waited = 0; waited < 8000; waited += 100) {
            yield* Effect.sleep(100)
            yield* one.take(unique("probe"))
            yield* two.take(unique("probe"))
            if (/sluice_redis_up 1/.test((yield* one.exposition) + (yield* two.exposition))) {
              if (waited > 3000) break
            }
          }
          const after = unique("tenant")
          assert.strictEqual((yield* one.allowed(after, 12)) + (yield* two.allowed(after, 12)), 20)
        }).pipe(Effect.scoped),
      40_000,
    )
  }
})
