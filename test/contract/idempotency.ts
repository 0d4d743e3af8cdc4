// One request under one idempotency key, whichever gateways are asked, when, and whatever became of
// the one that was asked first. Every log gives the same; one that others use too gets models and
// keys of its own.
import { randomBytes } from "node:crypto"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, type Scope } from "effect"
import type { Idempotency } from "../../src/enqueue/keys.ts"
import type { RequestDraft } from "../../src/enqueue/Enqueue.ts"
import { Log, LogError } from "../../streams/Log.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { requestDraft } from "../support/enqueue.ts"
import { type GatewayOptions, makeGateways } from "../support/gatewayWorld.ts"

const makeWorld = Effect.fnUntraced(function* (
  layer: Layer.Layer<Log, LogError>,
  options: GatewayOptions = {},
) {
  const own = randomBytes(4).toString("hex")
  const model = `once-${own}`
  const idempotency = { key: `key-${own}`, body: "body" }
  return {
    ...(yield* makeGateways(layer, { model, ...options })),
    idempotency,
    draft: (change: Partial<RequestDraft> = {}) =>
      requestDraft({ requestId: newRequestId(Date.now()), idempotency, ...change, model }),
  }
})

/** Writes the first record of such a topic and does not say so. */
const unconfirming = (layer: Layer.Layer<Log, LogError>, topic: string) =>
  Layer.effect(
    Log,
    Effect.gen(function* () {
      const log = yield* Log
      let isFirst = true
      return {
        ...log,
        append: Effect.fnUntraced(function* (at, records) {
          const offset = yield* log.append(at, records)
          if (!isFirst || !at.topic.startsWith(topic)) return offset
          isFirst = false
          return yield* new LogError({ reason: "unknownOutcome", message: "The reply was lost." })
        }),
      }
    }),
  ).pipe(Layer.provide(layer))

/** As a process that stands still before it appends its first record of such a topic. */
const standingStill = (layer: Layer.Layer<Log, LogError>, topic: string, ms: number) =>
  Layer.effect(
    Log,
    Effect.gen(function* () {
      const log = yield* Log
      let isFirst = true
      return {
        ...log,
        append: Effect.fnUntraced(function* (at, records) {
          if (isFirst && at.topic.startsWith(topic)) {
            isFirst = false
            yield* Effect.sleep(ms)
          }
          return yield* log.append(at, records)
        }),
      }
    }),
  ).pipe(Layer.provide(layer))

/** As a gateway that claims the key for a request and then dies, so long ago. */
const diedAfterClaim = ({ key, body }: Idempotency, agoMs: number) => ({
  keyDigest: key,
  bodyDigest: body,
  requestId: newRequestId(Date.now() - agoMs),
  replaces: null,
})

/** The same request on two gateways at once: both answer alike, and that answer is returned. */
const submittedTwice = Effect.fnUntraced(function* (
  world: Effect.Success<ReturnType<typeof makeWorld>>,
) {
  const gateways = yield* Effect.all([world.gateway, world.gateway])
  const requests = yield* Effect.all(
    gateways.map(({ submit }) => submit(world.draft())),
    { concurrency: 2 },
  )
  assert.deepStrictEqual(requests[0], requests[1])
  return requests[0]
})

export const idempotencyCases = (layer: Layer.Layer<Log, LogError>) => {
  const live = <E>(says: string, run: Effect.Effect<void, E, Scope.Scope>) =>
    it.live(says, () => Effect.scoped(run), 30_000)

  live(
    "is the same request again on the same gateway, on another, and after a restart",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const { draft } = world
      const first = yield* world.gateway
      const asked = draft()
      const request = yield* first.submit(asked)
      assert.strictEqual(request.requestId, asked.requestId)
      assert.deepStrictEqual(yield* first.submit(draft()), request)
      const second = yield* world.gateway
      assert.deepStrictEqual(yield* second.submit(draft()), request)
      yield* first.stop
      yield* second.stop
      const third = yield* world.gateway
      assert.deepStrictEqual(yield* third.submit(draft()), request)
      assert.strictEqual((yield* world.records).length, 1)
    }),
  )

  live(
    "runs once where many gateways are asked at the same time",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const { draft, idempotency } = world
      const gateways = yield* Effect.all([world.gateway, world.gateway, world.gateway])
      for (let round = 0; round < 5; round++) {
        const key = { ...idempotency, key: `${idempotency.key}-${round}` }
        const all = Array.from({ length: 12 }, (_, i) =>
          gateways[i % 3]!.submit(draft({ idempotency: key })),
        )
        const requests = yield* Effect.all(all, { concurrency: "unbounded" })
        assert.strictEqual(new Set(requests.map(({ requestId }) => requestId)).size, 1)
      }
      const ids = (yield* world.records).map(({ value }) => value?.requestId)
      assert.strictEqual(new Set(ids).size, 5)
    }),
  )

  live(
    "refuses another body, and takes the same key of another tenant's digest",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const { draft, idempotency } = world
      const gateway = yield* world.gateway
      yield* gateway.submit(draft())
      const other = draft({ idempotency: { ...idempotency, body: "other" } })
      const refused = yield* Effect.flip(gateway.submit(other))
      assert.strictEqual(refused.reason, "keyReused")
      const elsewhere = yield* Effect.flip((yield* world.gateway).submit(other))
      assert.strictEqual(elsewhere.reason, "keyReused")
      yield* gateway.submit(
        draft({ idempotency: { ...idempotency, key: `${idempotency.key} of another` } }),
      )
      assert.strictEqual((yield* world.records).length, 2)
    }),
  )

  live(
    "helps a gateway that died between claim and append: under the claimed id",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const claimed = diedAfterClaim(world.idempotency, 0)
      yield* world.keys.append(claimed)
      const request = yield* submittedTwice(world)
      assert.strictEqual(request?.requestId, claimed.requestId)
      const records = yield* world.records
      assert.isAtMost(records.length, 2)
      // Two helpers may both have appended: then the same bytes, to the same partition.
      assert.strictEqual(new Set(records.map(({ bytes }) => Buffer.from(bytes).toString())).size, 1)
    }),
  )

  live(
    "takes the place of a request that was claimed long ago and never came",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const claimed = diedAfterClaim(world.idempotency, 120_000)
      yield* world.keys.append(claimed)
      const request = yield* submittedTwice(world)
      assert.notStrictEqual(request?.requestId, claimed.requestId)
      assert.strictEqual((yield* world.records).length, 1)
      const partition = world.tokens.partitionOf(claimed.requestId)
      const [frame] = yield* world.tokens.readFrom(partition, 0, 1 << 20)
      assert.strictEqual(frame?.value?.entries[0]?.kind, "Cancelled")
    }),
  )

  live(
    "is forgotten when keys no longer live, and refused when no more can be remembered",
    Effect.gen(function* () {
      const options = { log: { retentionMs: 300 }, limits: { keysMax: 2 } }
      const world = yield* makeWorld(layer, options)
      const { draft, idempotency } = world
      const gateway = yield* world.gateway
      const request = yield* gateway.submit(draft())
      yield* gateway.submit(draft({ idempotency: { ...idempotency, key: `${idempotency.key}-2` } }))
      const third = draft({ idempotency: { ...idempotency, key: `${idempotency.key}-3` } })
      const full = yield* Effect.flip(gateway.submit(third))
      assert.strictEqual(full.reason, "keysFull")
      assert.isTrue(full._tag === "EnqueueError" && full.retryAfterMs > 0)
      assert.strictEqual((yield* gateway.submit(draft())).requestId, request.requestId)
      yield* Effect.sleep(400)
      yield* gateway.submit(third)
      assert.notStrictEqual((yield* gateway.submit(draft())).requestId, request.requestId)
    }),
  )

  live(
    "may be asked for again where the log did not confirm it, and is the same then",
    Effect.gen(function* () {
      for (const topic of ["sluice.keys", "sluice.requests."]) {
        const world = yield* makeWorld(unconfirming(layer, topic))
        const { draft } = world
        const gateway = yield* world.gateway
        const refused = yield* Effect.flip(gateway.submit(draft()))
        assert.strictEqual(refused.reason, "unconfirmed")
        const again = draft()
        const request = yield* gateway.submit(again)
        assert.notStrictEqual(request.requestId, again.requestId)
        const ids = (yield* world.records).map(({ value }) => value?.requestId)
        assert.deepStrictEqual(ids, [request.requestId])
      }
    }),
  )

  live(
    "is not appended by a gateway that learns too late that its claim counted",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const { draft } = world
      const gateway = yield* world.gateway
      const late = draft({ requestId: newRequestId(Date.now() - 30_000) })
      const refused = yield* Effect.flip(gateway.submit(late))
      assert.strictEqual(refused.reason, "unconfirmed")
      const again = draft()
      assert.strictEqual((yield* gateway.submit(again)).requestId, again.requestId)
      assert.strictEqual((yield* world.records).length, 1)
    }),
  )

  live(
    "is answered with what took its place while its gateway stood still before the append",
    Effect.gen(function* () {
      const world = yield* makeWorld(standingStill(layer, "sluice.requests.", 4_000))
      const { draft } = world
      const [slow, other] = yield* Effect.all([world.gateway, world.gateway])
      const asked = draft({ requestId: newRequestId(Date.now() - 18_500) })
      const answering = yield* Effect.forkChild(slow.submit(asked))
      yield* Effect.sleep(2_200)
      const taken = yield* other.submit(draft())
      assert.notStrictEqual(taken.requestId, asked.requestId)
      assert.strictEqual((yield* Fiber.join(answering)).requestId, taken.requestId)
    }),
  )
}
