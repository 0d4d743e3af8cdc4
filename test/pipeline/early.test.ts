// Requests that a log announces before they are in it: a worker starts on them, and logs nothing of
// them before it has read their records.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { codecs } from "../../schemas/codec.ts"
import type { RequestAccepted } from "../../schemas/types.ts"
import { type ConsumerHandler, Log } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { requestTopic } from "../../streams/topics.ts"
import { accepted } from "../support/generate.ts"
import { isEnded, makeWorldOn, textsOf } from "../support/workerWorld.ts"

/** A log in memory that announces what the test tells it to, after so long as an owner needs. */
const makeWorld = Effect.gen(function* () {
  const handlers: Array<ConsumerHandler> = []
  const layer = Layer.effect(
    Log,
    Effect.map(Log, (log) =>
      Log.of({
        ...log,
        consume: (options) => {
          handlers.push(options.handler)
          return log.consume(options)
        },
      }),
    ),
  ).pipe(Layer.provide(layerMemory))
  const world = yield* makeWorldOn(layer)
  const announce = (request: RequestAccepted, partition = 0) => {
    const at = { topic: requestTopic("scripted", "1", "default"), partition }
    const value = codecs.requestAccepted.encode(request)
    for (const { onEarly } of handlers) onEarly?.(at, [{ key: "k", value }])
  }
  return { ...world, announce }
})

const settled = Effect.sleep(100)
const isWaited = Effect.sleep(700)

describe("a request that is announced", () => {
  it.live("is begun at once and told of when its record is there, each token once", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      yield* settled
      const request = accepted({ maxTokens: 40 })
      world.announce(request)
      yield* settled
      assert.isAtLeast(scripted.engine.stats().steps, 40)
      assert.lengthOf(yield* world.entries, 0)
      yield* world.send(request)
      const state = yield* world.until(request.requestId, isEnded)
      assert.strictEqual(state.terminal?.completionTokens, 40)
      assert.strictEqual(textsOf(state)[0]?.length, 40)
      assert.strictEqual(state.attempt, 1)
      const kinds = (yield* world.entriesOf(request.requestId)).map(({ entry }) => entry.kind)
      assert.strictEqual(kinds[0], "AttemptClaimed")
      assert.strictEqual(kinds.at(-1), "GenerationFinished")
      assert.strictEqual(scripted.engine.stats().promptTokens, 2)
    }),
  )

  it.live("and never comes leaves nothing behind, in the log or in the engine", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      yield* settled
      const request = accepted({ maxTokens: 4_000 })
      world.announce(request)
      yield* settled
      assert.strictEqual(scripted.engine.stats().running, 1)
      yield* isWaited
      assert.strictEqual(scripted.engine.stats().running, 0)
      assert.lengthOf(yield* world.entries, 0)
      yield* world.send({ ...request, sampling: accepted({ maxTokens: 3 }).sampling })
      const state = yield* world.until(request.requestId, isEnded)
      assert.strictEqual(state.terminal?.completionTokens, 3)
    }),
  )

  it.live("is not begun where it is not to be run: ended, another's, or no request", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      yield* settled
      const ended = accepted({ maxTokens: 4 })
      yield* world.send(ended)
      yield* world.until(ended.requestId, isEnded)
      yield* settled
      const { steps } = scripted.engine.stats()
      world.announce(ended)
      world.announce(accepted({}, { prompts: [] }))
      world.announce(accepted(), 77)
      const touched = accepted()
      const partition = world.tokens.partitionOf(touched.requestId)
      const { requestId } = touched
      yield* world.tokens.append(partition, "worker-other", [
        { kind: "AttemptClaimed", requestId, attempt: 1, worker: "worker-other" },
      ])
      yield* settled
      world.announce(touched)
      yield* settled
      assert.strictEqual(scripted.engine.stats().steps, steps)
    }),
  )

  it.live("ends as cancelled when that is said before its record comes", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const { scripted } = yield* world.worker()
      yield* settled
      const request = accepted({ maxTokens: 50_000 })
      const { requestId } = request
      world.announce(request)
      yield* settled
      const partition = world.tokens.partitionOf(requestId)
      yield* world.tokens.append(partition, "gateway", [{ kind: "Cancelled", requestId, by: "g" }])
      yield* settled
      assert.strictEqual(scripted.engine.stats().running, 0)
      yield* world.send(request)
      yield* settled
      assert.lengthOf(yield* world.entriesOf(requestId), 1)
    }),
  )
})
