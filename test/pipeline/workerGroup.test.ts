// Workers that come, go and share: what is committed, what is redelivered, what a drain leaves.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Tier } from "../../schemas/types.ts"
import { tiers } from "../../streams/topics.ts"
import { accepted } from "../support/generate.ts"
import { isEnded, makeWorld } from "../support/workerWorld.ts"

describe("a group of workers", () => {
  it.live("never commits past an unfinished request", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const worker = yield* world.worker({ engine: { stepIntervalMs: 5 } })
      const quick = () => accepted({ maxTokens: 2 })
      const before = quick()
      const long = accepted({ maxTokens: 200 })
      const after = [quick(), quick(), quick()]
      for (const request of [before, long, ...after]) yield* world.send(request)
      for (const { requestId } of after) yield* world.until(requestId, isEnded)
      yield* Effect.sleep(400)
      assert.isNull((yield* world.stateOf(long.requestId)).terminal)
      assert.strictEqual(yield* world.committed(0), 1)
      yield* world.until(long.requestId, isEnded)
      yield* worker.stop
      assert.strictEqual(yield* world.committed(0), 5)
    }),
  )

  it.live("runs nothing twice while members join and leave", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const slow = { engine: { stepIntervalMs: 5 } }
      const first = yield* world.worker(slow)
      const requests = Array.from({ length: 12 }, (_, i) =>
        accepted({ maxTokens: 120 }, { tier: tiers[i % 3]! }),
      )
      for (const [i, request] of requests.entries()) yield* world.send(request, i < 6 ? 0 : 1)
      yield* world.until(requests[11]!.requestId, ({ events }) => events > 5)
      const second = yield* world.worker(slow)
      yield* Effect.sleep(150)
      yield* second.stop
      for (const { requestId } of requests) {
        const state = yield* world.until(requestId, isEnded)
        assert.strictEqual(state.terminal?.outcome, "finished")
        assert.strictEqual(state.terminal?.completionTokens, 120)
        const entries = yield* world.entriesOf(requestId)
        const claims = entries.filter(({ entry }) => entry.kind === "AttemptClaimed")
        // One claim, or one for each time that its partition really changed hands.
        assert.isAtMost(claims.length, 3)
        const finishes = entries.filter(({ entry }) => entry.kind === "GenerationFinished")
        assert.strictEqual(finishes.length, 1)
      }
      const kept = yield* Effect.forEach(requests, ({ requestId }) => world.stateOf(requestId))
      assert.isTrue(kept.some(({ attempt }) => attempt === 1))
      assert.isTrue(kept.some(({ attempt }) => attempt > 1))
      yield* first.stop
      assert.strictEqual(yield* world.committed(0), 2)
      assert.strictEqual(yield* world.committed(1), 2)
    }),
  )

  it.live("runs a request once that its producer sent twice", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const worker = yield* world.worker({ engine: { stepIntervalMs: 2 } })
      const request = accepted({ maxTokens: 60 })
      yield* world.send(request)
      yield* world.send(request)
      yield* world.until(request.requestId, isEnded)
      yield* world.send(request)
      yield* Effect.sleep(30)
      yield* worker.stop
      const entries = yield* world.entriesOf(request.requestId)
      const ends = entries.filter(({ entry }) => entry.kind === "GenerationFinished")
      assert.strictEqual(ends.length, 1)
      assert.strictEqual(yield* world.committed(0), 3)
    }),
  )

  it.live(
    "drains: every token made is in the log, nothing unfinished is ended, the rest goes on",
    () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const first = yield* world.worker({ engine: { stepIntervalMs: 2 }, drainMs: 300 })
        const quick = accepted({ maxTokens: 4 })
        const long = accepted({ maxTokens: 1500 })
        yield* world.send(long)
        yield* world.until(long.requestId, ({ events }) => events > 5)
        yield* world.send(quick)
        yield* world.until(quick.requestId, ({ attempt }) => attempt === 1)
        yield* first.stop
        assert.strictEqual((yield* world.statuses).at(-1)?.state, "stopped")
        const left = yield* world.stateOf(long.requestId)
        assert.isNull(left.terminal)
        assert.isAbove(left.events, 10)
        assert.strictEqual((yield* world.stateOf(quick.requestId)).terminal?.outcome, "finished")
        yield* Effect.sleep(50)
        assert.strictEqual((yield* world.stateOf(long.requestId)).events, left.events)
        const second = yield* world.worker()
        const state = yield* world.until(long.requestId, isEnded)
        assert.strictEqual(state.terminal?.completionTokens, 1500)
        yield* second.stop
        assert.strictEqual(yield* world.committed(0), 2)
      }),
  )

  it.live("keeps waiting requests from the next worker for a second at most", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const engine = { sequencesMax: 1, stepIntervalMs: 5 }
      const first = yield* world.worker({ engine, drainMs: 20_000 })
      const long = accepted({ maxTokens: 4000 })
      const waits = accepted({ maxTokens: 5 })
      yield* world.send(long)
      yield* world.send(waits)
      yield* world.until(long.requestId, ({ events }) => events > 5)
      const begin = performance.now()
      yield* first.stop
      assert.isBelow(performance.now() - begin, 3000)
      yield* world.worker()
      yield* world.until(waits.requestId, isEnded)
    }),
  )

  it.live("lets a priority request in before the flex ones that came first", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker({ engine: { sequencesMax: 1, stepIntervalMs: 2 } })
      const ended: Array<Tier> = []
      const flex = Array.from({ length: 6 }, () => accepted({ maxTokens: 20 }, { tier: "flex" }))
      for (const request of flex) yield* world.send(request)
      yield* world.until(flex[0]!.requestId, ({ events }) => events > 1)
      const high = accepted({ maxTokens: 20 }, { tier: "priority" })
      yield* world.send(high)
      yield* world.until(high.requestId, isEnded)
      for (const { requestId } of flex) {
        if ((yield* world.stateOf(requestId)).terminal !== null) ended.push("flex")
      }
      assert.isAtMost(ended.length, 2)
      for (const { requestId } of flex) yield* world.until(requestId, isEnded)
    }),
  )

  it.live("waits while the engine's queue is full, and submits every choice in the end", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker({ engine: { sequencesMax: 2, waitingMax: 1 } })
      const request = accepted({ maxTokens: 10, temperature: 1 }, { n: 9 })
      yield* world.send(request)
      const state = yield* world.until(request.requestId, isEnded)
      assert.strictEqual(state.terminal?.completionTokens, 90)
    }),
  )

  it.live("puts a damaged record among the dead letters and goes on", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const worker = yield* world.worker()
      const topic = "sluice.requests.scripted.1.default"
      const bytes = Uint8Array.of(1, 2, 3)
      yield* world.log.append({ topic, partition: 0 }, [{ key: null, value: bytes }])
      const odd = accepted({}, { requestId: "not-an-id" })
      yield* world.send(odd)
      const good = accepted()
      yield* world.send(good)
      yield* world.until(good.requestId, isEnded)
      yield* world.until("not-an-id", isEnded)
      yield* Effect.sleep(20)
      const letters = yield* world.letters.readFrom(0, 1 << 20)
      assert.deepStrictEqual(
        letters.map(({ value }) => value?.code),
        ["damaged_record", "invalid_request"],
      )
      assert.deepStrictEqual([...(letters[0]?.value?.request ?? [])], [1, 2, 3])
      yield* worker.stop
      assert.strictEqual(yield* world.committed(0), 3)
    }),
  )
})
