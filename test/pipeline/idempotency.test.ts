// One request under one idempotency key, whichever gateways are asked, when, and whatever became of
// the one that was asked first. On every log that runs in this process.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import type { RequestDraft } from "../../src/enqueue/Enqueue.ts"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import type { Log, LogError } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { requestDraft } from "../support/enqueue.ts"
import { makeGateways } from "../support/gatewayWorld.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"

const layerEmbedded = Layer.unwrap(
  Effect.map(temporaryFolder("keys"), (folder) => embeddedLog({ folder, mapBytes: 1024 ** 3 })),
)

const adapters: ReadonlyArray<readonly [string, Layer.Layer<Log, LogError>]> = [
  ["memory", layerMemory],
  ["embedded", layerEmbedded],
]

const idempotency = { key: "0123456789abcdef", body: "body" }

const draft = (change: Partial<RequestDraft> = {}) =>
  requestDraft({ requestId: newRequestId(Date.now()), idempotency, ...change })

/** As a gateway that claims the key for a request and then dies, so long ago. */
const diedAfterClaim = (agoMs: number) => ({
  keyDigest: idempotency.key,
  bodyDigest: idempotency.body,
  requestId: newRequestId(Date.now() - agoMs),
  replaces: null,
})

const cases = (layer: Layer.Layer<Log, LogError>) => {
  const live = <E>(says: string, run: Effect.Effect<void, E, Scope.Scope>) =>
    it.live(says, () => Effect.scoped(run))

  live(
    "is the same request again on the same gateway, on another, and after a restart",
    Effect.gen(function* () {
      const world = yield* makeGateways(layer)
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
      const world = yield* makeGateways(layer)
      const gateways = yield* Effect.all([world.gateway, world.gateway, world.gateway])
      for (let round = 0; round < 5; round++) {
        const key = { key: `key-${round}`, body: "body" }
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
      const world = yield* makeGateways(layer)
      const gateway = yield* world.gateway
      yield* gateway.submit(draft())
      const other = draft({ idempotency: { ...idempotency, body: "other" } })
      const refused = yield* Effect.flip(gateway.submit(other))
      assert.strictEqual(refused.reason, "keyReused")
      const elsewhere = yield* Effect.flip((yield* world.gateway).submit(other))
      assert.strictEqual(elsewhere.reason, "keyReused")
      yield* gateway.submit(draft({ idempotency: { ...idempotency, key: "another tenant's" } }))
      assert.strictEqual((yield* world.records).length, 2)
    }),
  )

  live(
    "helps a gateway that died between claim and append: under the claimed id",
    Effect.gen(function* () {
      const world = yield* makeGateways(layer)
      const claimed = diedAfterClaim(0)
      yield* world.keys.append(claimed)
      const gateways = yield* Effect.all([world.gateway, world.gateway])
      const requests = yield* Effect.all(
        gateways.map(({ submit }) => submit(draft())),
        { concurrency: 2 },
      )
      assert.deepStrictEqual(requests[0], requests[1])
      assert.strictEqual(requests[0]?.requestId, claimed.requestId)
      const records = yield* world.records
      assert.isAtMost(records.length, 2)
      // Two helpers may both have appended: then the same bytes, to the same partition.
      assert.strictEqual(new Set(records.map(({ bytes }) => Buffer.from(bytes).toString())).size, 1)
    }),
  )

  live(
    "takes the place of a request that was claimed long ago and never came",
    Effect.gen(function* () {
      const world = yield* makeGateways(layer)
      const claimed = diedAfterClaim(120_000)
      yield* world.keys.append(claimed)
      const gateways = yield* Effect.all([world.gateway, world.gateway])
      const requests = yield* Effect.all(
        gateways.map(({ submit }) => submit(draft())),
        { concurrency: 2 },
      )
      assert.deepStrictEqual(requests[0], requests[1])
      assert.notStrictEqual(requests[0]?.requestId, claimed.requestId)
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
      const world = yield* makeGateways(layer, options)
      const gateway = yield* world.gateway
      const request = yield* gateway.submit(draft())
      yield* gateway.submit(draft({ idempotency: { key: "second", body: "" } }))
      const third = draft({ idempotency: { key: "third", body: "" } })
      const full = yield* Effect.flip(gateway.submit(third))
      assert.strictEqual(full.reason, "keysFull")
      assert.isTrue(full._tag === "EnqueueError" && full.retryAfterMs > 0)
      assert.strictEqual((yield* gateway.submit(draft())).requestId, request.requestId)
      yield* Effect.sleep(400)
      yield* gateway.submit(third)
      assert.notStrictEqual((yield* gateway.submit(draft())).requestId, request.requestId)
    }),
  )
}

for (const [adapter, layer] of adapters) {
  describe(`a request under a key, on the ${adapter} log`, () => cases(layer))
}
