// Requests that nobody is left to end get their end all the same, once, and those that somebody
// ended or still may end are left alone. On every log.
import { randomBytes } from "node:crypto"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import type { TokenEntry } from "../../schemas/types.ts"
import { Reaper } from "../../src/enqueue/Reaper.ts"
import type { Log, LogError } from "../../streams/Log.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { requestTopic } from "../../streams/topics.ts"
import { acceptedRequest } from "../support/enqueue.ts"
import { makeGateways } from "../support/gatewayWorld.ts"

const bounds = { everyMs: 50, graceMs: 100, youngMs: 0 }

const makeWorld = Effect.fnUntraced(function* (layer: Layer.Layer<Log, LogError>, openMax = 10) {
  const model = `orphans-${randomBytes(4).toString("hex")}`
  const world = yield* makeGateways(layer, { model })
  const send = Effect.fnUntraced(function* (deadline: number) {
    const request = acceptedRequest({ requestId: newRequestId(Date.now()), model, deadline })
    yield* world.requests.append(request, { partition: 0, key: "k" })
    return request.requestId
  })
  const entriesOf = Effect.fnUntraced(function* (requestId: string) {
    const partition = world.tokens.partitionOf(requestId)
    const from = yield* world.tokens.startOf(requestId)
    const frames = yield* world.tokens.readFrom(partition, from, 1 << 24)
    const entries: Array<TokenEntry> = []
    for (const { value } of frames) entries.push(...(value?.entries ?? []))
    return entries.filter((entry) => entry.requestId === requestId)
  })
  const layerReaper = Layer.fresh(Reaper.layerWithin({ ...bounds, openMax })).pipe(
    Layer.provide(world.layerLogs),
  )
  const reaper = Effect.flatMap(Layer.build(layerReaper), (built) => Effect.provide(Reaper, built))
  return { ...world, model, send, entriesOf, reaper }
})

export const reaperCases = (layer: Layer.Layer<Log, LogError>) => {
  const live = <E>(says: string, run: Effect.Effect<void, E, Scope.Scope>) =>
    it.live(says, () => Effect.scoped(run), 30_000)

  live(
    "ends what no worker ended by its deadline, and nothing before it",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const deadline = Date.now() + 300
      const orphans = [yield* world.send(deadline), yield* world.send(Date.now() - 60_000)]
      const patient = yield* world.send(Date.now() + 600_000)
      const startedAt = Date.now()
      yield* world.reaper
      for (const requestId of orphans) {
        let entries = yield* world.entriesOf(requestId)
        while (entries.length === 0 && Date.now() - startedAt < 20_000) {
          yield* Effect.sleep(20)
          entries = yield* world.entriesOf(requestId)
        }
        assert.deepStrictEqual(
          entries.map(({ kind }) => kind),
          ["Expired"],
        )
      }
      assert.isAtLeast(Date.now(), deadline + bounds.graceMs)
      // It is told once, however often it is looked at.
      yield* Effect.sleep(300)
      assert.strictEqual((yield* world.entriesOf(orphans[1] ?? "")).length, 1)
      assert.strictEqual((yield* world.entriesOf(patient)).length, 0)
    }),
  )

  live(
    "leaves alone what the worker group has committed, and what was seen to end",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer)
      const done = yield* world.send(Date.now() - 60_000)
      const assigned: Array<{ readonly epoch: number; readonly count: number }> = []
      const consumer = yield* world.requests.consume({
        model: world.model,
        version: "1",
        member: "m",
        slots: 1,
        onAssigned: (epoch, partitions) => void assigned.push({ epoch, count: partitions.length }),
        onRequests: () => {},
        onError: () => {},
      })
      const topic = requestTopic(world.model, "1", "default")
      const isOwner = () => (assigned.at(-1)?.count ?? 0) > 0
      while (!isOwner()) yield* Effect.sleep(20)
      const epoch = assigned.at(-1)?.epoch ?? 0
      yield* consumer.commit(epoch, [{ topic, partition: 0, offset: 1 }])
      assert.strictEqual(yield* world.requests.settledBelow({ topic, partition: 0 }), 1)
      const seen = yield* world.send(Date.now() + 500)
      const { ended } = yield* world.reaper
      yield* Effect.sleep(300)
      ended(seen)
      yield* Effect.sleep(600)
      assert.strictEqual((yield* world.entriesOf(done)).length, 0)
      assert.strictEqual((yield* world.entriesOf(seen)).length, 0)
    }),
  )

  live(
    "watches so many at once, and those behind when there is room",
    Effect.gen(function* () {
      const world = yield* makeWorld(layer, 2)
      const patient = yield* world.send(Date.now() + 600_000)
      yield* world.send(Date.now() + 600_000)
      const behind = yield* world.send(Date.now() - 60_000)
      const { ended } = yield* world.reaper
      yield* Effect.sleep(1_500)
      assert.strictEqual((yield* world.entriesOf(behind)).length, 0)
      ended(patient)
      for (let i = 0; i < 500 && (yield* world.entriesOf(behind)).length === 0; i++) {
        yield* Effect.sleep(20)
      }
      assert.strictEqual((yield* world.entriesOf(behind))[0]?.kind, "Expired")
    }),
  )
}
