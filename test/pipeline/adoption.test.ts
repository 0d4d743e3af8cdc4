// A request that changes hands: whatever happened to its worker, its transcript is that of an
// undisturbed run, and what a loser wrote counts for nothing. On every log that runs in this
// process.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import type { KeptState } from "../support/foldEntries.ts"
import { accepted } from "../support/generate.ts"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import type { Log, LogError } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"
import { isEnded, makeWorld as makeMemoryWorld, makeWorldOn } from "../support/workerWorld.ts"

const transcript = (state: KeptState) =>
  state.choices.map(({ ids, texts, finish, stopReason }) => ({ ids, texts, finish, stopReason }))

/** The same request as another client's: another id, the same tokens. */
const again = (request: RequestAccepted) => ({
  ...request,
  requestId: accepted().requestId,
})

const byHand = { engine: { stepIntervalMs: null }, drainMs: 0 }

const undisturbed = Effect.fnUntraced(function* (request: RequestAccepted) {
  const world = yield* makeMemoryWorld
  const worker = yield* world.worker()
  yield* world.send(request)
  const state = yield* world.until(request.requestId, isEnded)
  yield* worker.stop
  return transcript(state)
})

const adopted = (layer: Layer.Layer<Log, LogError>, cutEvery: number) => {
  const makeWorld = makeWorldOn(layer)
  const cases = [
    { name: "greedy", changes: { maxTokens: 12 }, n: 1 },
    { name: "seeded, two choices", changes: { maxTokens: 8, temperature: 0.8, seed: 42 }, n: 2 },
  ]
  for (const { name, changes, n } of cases) {
    it.live(`has the same transcript wherever it was cut: ${name}`, () =>
      Effect.gen(function* () {
        const request = accepted(changes, { n })
        const expected = yield* undisturbed(request)
        for (let cut = 0; cut <= changes.maxTokens; cut += cutEvery) {
          const world = yield* makeWorld
          const first = yield* world.worker(byHand)
          const cutRequest = again(request)
          const { requestId } = cutRequest
          yield* world.send(cutRequest)
          yield* world.until(requestId, ({ attempt }) => attempt === 1)
          for (let i = 0; i < cut; i++) first.scripted.step()
          const isWhole = cut === changes.maxTokens
          if (isWhole) yield* world.until(requestId, isEnded)
          yield* first.kill
          const second = yield* world.worker()
          const state = yield* world.until(requestId, isEnded)
          assert.deepStrictEqual(transcript(state), expected)
          assert.strictEqual(state.attempt, isWhole ? 1 : 2)
          yield* second.stop
        }
      }),
    )
  }

  it.live("keeps text back for a stop string over the cut", () =>
    Effect.gen(function* () {
      const [whole] = yield* undisturbed(accepted({ maxTokens: 30 }))
      const text = whole!.texts.join("")
      const request = accepted({ maxTokens: 30, stop: [text.slice(8, 14)] })
      const expected = yield* undisturbed(request)
      assert.strictEqual(expected[0]!.texts.join(""), text.slice(0, 8))
      for (let cut = 7; cut < 14; cut += cutEvery) {
        const world = yield* makeWorld
        const first = yield* world.worker(byHand)
        const cutRequest = again(request)
        yield* world.send(cutRequest)
        yield* world.until(cutRequest.requestId, ({ attempt }) => attempt === 1)
        for (let i = 0; i < cut; i++) first.scripted.step()
        yield* first.kill
        yield* world.worker()
        const state = yield* world.until(cutRequest.requestId, isEnded)
        assert.deepStrictEqual(transcript(state), expected)
      }
    }),
  )

  it.live("is stopped by its worker when another claims it, and nothing after that counts", () =>
    Effect.gen(function* () {
      const request = accepted({ maxTokens: 200 })
      const expected = yield* undisturbed(request)
      const world = yield* makeWorld
      const { scripted, id } = yield* world.worker({ engine: { stepIntervalMs: 5 } })
      const lost = again(request)
      const { requestId } = lost
      yield* world.send(lost)
      yield* world.until(requestId, ({ events }) => events > 5)
      const partition = world.tokens.partitionOf(requestId)
      const claim = { kind: "AttemptClaimed", requestId, attempt: 2, worker: "other" } as const
      yield* world.tokens.append(partition, "other", [claim])
      yield* Effect.sleep(50)
      assert.strictEqual(scripted.engine.stats().running, 0)
      const held = yield* world.stateOf(requestId)
      assert.strictEqual(held.claimant, "other")
      // The other one goes silent: the request is still this worker's to see through.
      const state = yield* world.until(requestId, isEnded)
      assert.strictEqual(state.attempt, 3)
      assert.strictEqual(state.claimant, id)
      assert.deepStrictEqual(transcript(state), expected)
    }),
  )

  it.live(
    "is left by a worker whose first claim came second, and taken again when nothing comes",
    () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const { scripted } = yield* world.worker({ engine: { stepIntervalMs: 5 } })
        // Until it knows where its partitions end, nothing is fresh to it.
        yield* Effect.sleep(200)
        const request = accepted({ maxTokens: 50 })
        const { requestId } = request
        const partition = world.tokens.partitionOf(requestId)
        const claim = { kind: "AttemptClaimed", requestId, attempt: 1, worker: "other" } as const
        // The claim is in the log before this worker can answer the record, and is read after it.
        yield* Effect.all([world.send(request), world.tokens.append(partition, "other", [claim])], {
          concurrency: 2,
        })
        yield* Effect.sleep(100)
        const held = yield* world.stateOf(requestId)
        assert.strictEqual(held.claimant, "other")
        assert.strictEqual(held.events, 0)
        assert.strictEqual(scripted.engine.stats().running, 0)
        const own = (yield* world.entriesOf(requestId)).filter(({ writer }) => writer !== "other")
        assert.isAbove(own.length, 0)
        assert.strictEqual((yield* world.until(requestId, isEnded)).attempt, 2)
      }),
  )

  it.live("is adopted at once where another claimed it before its record was read", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      yield* world.worker()
      yield* Effect.sleep(20)
      const request = accepted()
      const { requestId } = request
      const partition = world.tokens.partitionOf(requestId)
      const claim = { kind: "AttemptClaimed", requestId, attempt: 1, worker: "other" } as const
      yield* world.tokens.append(partition, "other", [claim])
      yield* Effect.sleep(10)
      yield* world.send(request)
      const state = yield* world.until(requestId, isEnded)
      assert.strictEqual(state.attempt, 2)
      assert.strictEqual(state.terminal?.outcome, "finished")
    }),
  )

  it.live("is settled without a run where the log says that it ended", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const request = accepted()
      const { requestId } = request
      yield* world.send(request)
      const partition = world.tokens.partitionOf(requestId)
      yield* world.tokens.append(partition, "gateway", [
        { kind: "Expired", requestId, deadline: 0 },
      ])
      const worker = yield* world.worker()
      yield* Effect.sleep(50)
      yield* worker.stop
      assert.strictEqual((yield* world.entriesOf(requestId)).length, 1)
      assert.strictEqual(yield* world.committed(0), 1)
    }),
  )

  it.live("becomes a dead letter after claims without a token, and its record is kept", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const request = accepted()
      const { requestId } = request
      yield* world.send(request)
      for (let attempt = 1; attempt <= 3; attempt++) {
        const worker = yield* world.worker({ ...byHand, claimsMax: 3 })
        yield* world.until(requestId, (state) => state.attempt === attempt)
        yield* worker.kill
      }
      const last = yield* world.worker({ claimsMax: 3 })
      const state = yield* world.until(requestId, isEnded)
      assert.strictEqual(state.terminal?.outcome, "deadLettered")
      const letters = yield* world.letters.readFrom(0, 1 << 20)
      assert.strictEqual(letters[0]?.value?.requestId, requestId)
      assert.strictEqual(letters[0]?.value?.attempts, 3)
      assert.isAbove(letters[0]?.value?.request.length ?? 0, 10)
      yield* last.stop
      assert.strictEqual(yield* world.committed(0), 1)
    }),
  )

  it.live("is not blamed for dying beside a poisonous one: suspects run one at a time", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const requests = [accepted(), accepted(), accepted()]
      for (const request of requests) yield* world.send(request)
      const poison = requests[0]!.requestId
      for (let attempt = 1; attempt <= 5; attempt++) {
        const worker = yield* world.worker({ ...byHand, claimsMax: 5 })
        yield* world.until(poison, (state) => state.attempt === attempt)
        yield* Effect.sleep(20)
        yield* worker.kill
      }
      yield* world.worker({ claimsMax: 5 })
      const outcomes = []
      for (const { requestId } of requests) {
        outcomes.push((yield* world.until(requestId, isEnded)).terminal?.outcome)
      }
      assert.deepStrictEqual(outcomes, ["deadLettered", "finished", "finished"])
    }),
  )
}

const layerEmbedded = Layer.unwrap(
  Effect.map(temporaryFolder("adoption"), (folder) => embeddedLog({ folder, mapBytes: 2 ** 30 })),
)

const adapters: ReadonlyArray<readonly [string, Layer.Layer<Log, LogError>, number]> = [
  ["memory", layerMemory, 1],
  ["embedded", layerEmbedded, 3],
]

for (const [adapter, layer, cutEvery] of adapters) {
  describe(`an adopted request on the ${adapter} log`, () => adopted(layer, cutEvery))
}
