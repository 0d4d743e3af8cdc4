// Who looks for a request by its id shares the reading with all who look at the same time.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { makeFindTogether } from "../../../streams/findTogether.ts"
import { Log } from "../../../streams/Log.ts"
import { layerMemory } from "../../../streams/memory/MemoryLog.ts"
import { newRequestId } from "../../../streams/requestId.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { modelTopics } from "../../../streams/topics.ts"
import { accepted } from "../../support/generate.ts"

const options = {
  requestPartitions: 2,
  tokenPartitions: 1,
  retentionMs: 86_400_000,
  retentionBytes: 1024 ** 3,
}

const makeWorld = Effect.gen(function* () {
  const log = yield* Log
  yield* log.createTopics(modelTopics("scripted", "1", options))
  const requests = yield* Effect.provide(RequestLog, RequestLog.layer)
  let reads = 0
  const counting = Log.of({
    ...log,
    read: (...asked) => {
      reads++
      return log.read(...asked)
    },
  })
  return { requests, find: makeFindTogether(counting), reads: () => reads }
})

describe("requests that many look for at once", () => {
  it.live("are found in a few readings, and those that are not there are told apart", () =>
    Effect.gen(function* () {
      const { requests, find, reads } = yield* makeWorld
      const all = Array.from({ length: 200 }, () => accepted())
      for (const [at, request] of all.entries()) {
        yield* requests.append(request, { partition: at % 2, key: "k" })
      }
      const missing = newRequestId(Date.now())
      const ids = [...all.map(({ requestId }) => requestId), missing, all[0]!.requestId]
      const found = yield* Effect.forEach(ids, find, { concurrency: "unbounded" })
      for (const [at, request] of all.entries()) {
        const one = found[at]
        assert.strictEqual(typeof one === "object" ? one.requestId : one, request.requestId)
      }
      assert.strictEqual(found[200], "unknown")
      assert.deepStrictEqual(found[201], found[0])
      assert.isBelow(reads(), 60)
    }).pipe(Effect.provide(Layer.fresh(layerMemory)), Effect.scoped),
  )

  it.live("one who leaves takes nothing from the others", () =>
    Effect.gen(function* () {
      const { requests, find } = yield* makeWorld
      const request = accepted()
      yield* requests.append(request, { partition: 1, key: "k" })
      const leaving = yield* Effect.forkChild(find(request.requestId))
      const staying = yield* Effect.forkChild(find(request.requestId))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(leaving)
      const found = yield* Fiber.join(staying)
      assert.strictEqual(typeof found === "object" ? found.requestId : found, request.requestId)
    }).pipe(Effect.provide(Layer.fresh(layerMemory)), Effect.scoped),
  )
})
