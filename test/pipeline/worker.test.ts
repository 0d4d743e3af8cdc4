// The worker on a log in memory with a scripted engine: what a request becomes.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { newRequestId } from "../../streams/requestId.ts"
import { accepted } from "../support/generate.ts"
import { isEnded, makeWorld, textsOf } from "../support/workerWorld.ts"

describe("a worker", () => {
  it.live("runs a request to its end, every position once", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker()
      const request = accepted({ maxTokens: 40 })
      yield* world.send(request)
      const state = yield* world.until(request.requestId, isEnded)
      assert.strictEqual(state.terminal?.outcome, "finished")
      assert.strictEqual(state.terminal?.completionTokens, 40)
      assert.strictEqual(state.terminal?.promptTokens, 2)
      assert.strictEqual(textsOf(state)[0]?.length, 40)
      assert.strictEqual(state.choices[0]?.finish, "length")
      assert.strictEqual(state.attempt, 1)
    }),
  )

  it.live("gives two choices of two prompts each their own text", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker()
      const request = accepted({ temperature: 1 }, { n: 2, prompts: [[97], [98, 99]] })
      yield* world.send(request)
      const state = yield* world.until(request.requestId, isEnded)
      assert.strictEqual(new Set(textsOf(state)).size, 4)
      assert.strictEqual(state.terminal?.completionTokens, 64)
      assert.strictEqual(state.terminal?.promptTokens, 3)
    }),
  )

  it.live("ends a choice at a stop string and frees its place", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      const whole = accepted({ maxTokens: 60 })
      yield* world.send(whole)
      const text = textsOf(yield* world.until(whole.requestId, isEnded))[0]!
      const stop = text.slice(20, 23)
      const request = accepted({ maxTokens: 100_000 - 99_000, stop: [stop] })
      yield* world.send(request)
      const state = yield* world.until(request.requestId, isEnded)
      assert.strictEqual(textsOf(state)[0], text.slice(0, text.indexOf(stop)))
      assert.strictEqual(state.choices[0]?.stopReason, stop)
      yield* Effect.sleep(20)
      assert.strictEqual(scripted.engine.stats().running, 0)
    }),
  )

  it.live("runs nothing that was settled before its record came", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const requestId = newRequestId(Date.now() - 60_000)
      const partition = world.tokens.partitionOf(requestId)
      const cancelled = { kind: "Cancelled", requestId, by: "another gateway" } as const
      yield* world.tokens.append(partition, "gateway", [cancelled])
      const { scripted } = yield* world.worker()
      // From its end on the records of the partition are fresh.
      const before = accepted({ maxTokens: 5 })
      yield* world.send(before)
      yield* world.until(before.requestId, isEnded)
      yield* world.send(accepted({}, { requestId }))
      yield* Effect.sleep(50)
      assert.deepStrictEqual(
        (yield* world.entriesOf(requestId)).map(({ entry }) => entry.kind),
        ["Cancelled"],
      )
      assert.strictEqual(scripted.engine.stats().running, 0)
    }),
  )

  it.live("says why a request cannot be run", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker()
      const tooLong = accepted({ maxTokens: 1_000_000 })
      const invalid = accepted({}, { prompts: [[5000]] })
      yield* world.send(tooLong)
      yield* world.send(invalid)
      const state = yield* world.until(tooLong.requestId, isEnded)
      assert.strictEqual(state.terminal?.outcome, "failed")
      assert.strictEqual(state.terminal?.code, "context_length_exceeded")
      const other = yield* world.until(invalid.requestId, isEnded)
      assert.strictEqual(other.terminal?.code, "invalid_request")
    }),
  )

  it.live("fails a request whose sequence failed, and no other", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      const bad = accepted({ maxTokens: 500 })
      yield* world.send(bad)
      yield* world.until(bad.requestId, ({ events }) => events > 3)
      const good = accepted({ maxTokens: 50 })
      yield* world.send(good)
      scripted.fail(1)
      const state = yield* world.until(bad.requestId, isEnded)
      assert.strictEqual(state.terminal?.code, "engine_failed")
      assert.strictEqual(
        (yield* world.until(good.requestId, isEnded)).terminal?.outcome,
        "finished",
      )
    }),
  )

  it.live("stops for a Cancelled entry of the gateway, and for a command alone", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      for (const way of ["entry", "command"] as const) {
        const request = accepted({ maxTokens: 5000 })
        const { requestId } = request
        yield* world.send(request)
        yield* world.until(requestId, ({ events }) => events > 3)
        const partition = world.tokens.partitionOf(requestId)
        if (way === "command") yield* world.commands.append({ requestId, cancelledAt: 0 })
        else
          yield* world.tokens.append(partition, "gateway", [
            { kind: "Cancelled", requestId, by: "g" },
          ])
        const state = yield* world.until(requestId, isEnded)
        assert.strictEqual(state.terminal?.outcome, "cancelled")
        yield* Effect.sleep(30)
        assert.strictEqual(scripted.engine.stats().running, 0)
      }
    }),
  )

  it.live("does not start what was cancelled before it came", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker()
      yield* Effect.sleep(20)
      const request = accepted()
      const { requestId } = request
      const partition = world.tokens.partitionOf(requestId)
      yield* world.tokens.append(partition, "gateway", [{ kind: "Cancelled", requestId, by: "g" }])
      yield* Effect.sleep(10)
      yield* world.send(request)
      yield* Effect.sleep(50)
      assert.strictEqual((yield* world.entriesOf(requestId)).length, 1)
    }),
  )

  it.live("expires a request in the queue and one between steps", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker({ engine: { sequencesMax: 1 } })
      const now = Date.now()
      const runs = accepted({ maxTokens: 5000 }, { deadline: now + 200 })
      const waits = accepted({}, { deadline: now + 100 })
      yield* world.send(runs)
      yield* world.send(waits)
      const queued = yield* world.until(waits.requestId, isEnded)
      assert.strictEqual(queued.terminal?.outcome, "expired")
      assert.strictEqual(queued.attempt, 0)
      const ended = yield* world.until(runs.requestId, isEnded)
      assert.strictEqual(ended.terminal?.outcome, "expired")
      assert.isAbove(ended.events, 1)
      assert.isAtLeast(Date.now(), runs.deadline)
      yield* Effect.sleep(20)
      assert.strictEqual(scripted.engine.stats().running, 0)
    }),
  )

  it.live("fails as a whole when its engine is lost, and writes no end for what ran", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const worker = yield* world.worker()
      const request = accepted({ maxTokens: 5000 })
      yield* world.send(request)
      yield* world.until(request.requestId, ({ events }) => events > 3)
      worker.scripted.lose("device gone")
      const error = yield* Effect.flip(worker.lost)
      assert.strictEqual(error.reason, "engineLost")
      yield* worker.stop
      assert.isNull((yield* world.stateOf(request.requestId)).terminal)
    }),
  )
})
