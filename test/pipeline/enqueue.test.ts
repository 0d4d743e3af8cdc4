// From a draft to a durable record: what is checked, where it goes, what is refused and why, and
// what a cancel leaves in the logs.
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import type { WorkerStatus } from "../../schemas/types.ts"
import { Config } from "../../src/config/Config.ts"
import { Enqueue, type RequestDraft } from "../../src/enqueue/Enqueue.ts"
import { layerEnqueue } from "../../src/enqueue/layer.ts"
import { ModelCatalog } from "../../src/enqueue/ModelCatalog.ts"
import { Workers } from "../../src/enqueue/Workers.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { KeyLog } from "../../streams/KeyLog.ts"
import { Log } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { modelTopics, requestTopic, sharedTopics } from "../../streams/topics.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import { requestDraft, workerStatus } from "../support/enqueue.ts"
import { topicOptions } from "../support/relay.ts"
import { projectRoot } from "../support/shared.ts"

const layers = (partitions = 4) => {
  const options = { ...topicOptions, requestPartitions: partitions }
  const topics = Layer.effectDiscard(
    Effect.flatMap(Log, (log) =>
      log.createTopics([...sharedTopics(options), ...modelTopics("tales-11m", "1", options)]),
    ),
  )
  const logs = Layer.mergeAll(
    TokenLog.layer,
    RequestLog.layer,
    CommandLog.layer,
    WorkerLog.layer,
    KeyLog.layer,
  ).pipe(Layer.provide(topics), Layer.provideMerge(layerMemory))
  const config = Config.layerTest({
    model: `${projectRoot}models/tales-11m`,
    servedModelName: "tales-11m",
    modelVersion: "1",
  })
  return layerEnqueue.pipe(
    Layer.provideMerge(ModelCatalog.layer),
    Layer.provideMerge(Workers.layer),
    Layer.provideMerge(logs),
    Layer.provideMerge(config),
  )
}

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

const draft = Effect.fnUntraced(function* (change: Partial<RequestDraft> = {}) {
  return requestDraft({ requestId: newRequestId(yield* now), ...change })
})

const refusal = Effect.fnUntraced(function* (change: Partial<RequestDraft>) {
  return yield* Effect.flip((yield* Enqueue).submit(yield* draft(change)))
})

/** A worker's heartbeat, and the moment until the gateway has read it. */
const beat = Effect.fnUntraced(function* (change: Partial<WorkerStatus>) {
  const status = workerStatus({ at: yield* now, ...change })
  yield* (yield* WorkerLog).append(status)
  const workers = yield* Workers
  yield* Effect.sleep(1).pipe(
    Effect.repeat({ until: () => workers.lastHeardAt() >= status.at }),
    Effect.timeout(2_000),
  )
})

const topic = requestTopic("tales-11m", "1", "default")
const recordsIn = Effect.fnUntraced(function* (partition: number) {
  return yield* (yield* Log).read({ topic, partition }, 0, 1e6)
})

const sampling = requestDraft().sampling

type Stages = Layer.Success<ReturnType<typeof layers>>
const live = <E>(
  name: string,
  test: Effect.Effect<void, E, Stages | Scope.Scope>,
  partitions = 4,
) => it.live(name, () => test.pipe(Effect.provide(layers(partitions)), Effect.scoped))

describe("submit", () => {
  live(
    "makes one durable record with version, times and partition, and gives it back",
    Effect.gen(function* () {
      const before = yield* now
      const asked = yield* draft({ promptCacheKey: "family", timeoutMs: 5_000 })
      const request = yield* (yield* Enqueue).submit(asked)
      expect(request.version).toBe("1")
      expect(request.acceptedAt).toBeGreaterThanOrEqual(before)
      expect(request.deadline).toBe(request.acceptedAt + 5_000)
      expect(yield* (yield* RequestLog).find(asked.requestId)).toEqual(request)
      const again = yield* (yield* Enqueue).submit(yield* draft({ promptCacheKey: "family" }))
      expect(again.deadline - again.acceptedAt).toBe((yield* Config).limits.requestTimeoutMs)
      const counts = yield* Effect.forEach([0, 1, 2, 3], (n) =>
        Effect.map(recordsIn(n), (records) => records.map(({ key }) => key)),
      )
      expect(counts.filter((keys) => keys.length > 0)).toEqual([["family", "family"]])
    }),
  )

  live(
    "refuses unknown models and what does not fit the model, with the numbers",
    Effect.gen(function* () {
      expect(yield* refusal({ model: "gpt-9" })).toMatchObject({ reason: "unknownModel" })
      const prompts = [[1], new Array(1_000).fill(5)]
      const tooLong = yield* refusal({ prompts, sampling: { ...sampling, maxTokens: 25 } })
      expect(tooLong).toMatchObject({ reason: "tooLong", retryAfterMs: 0 })
      expect(tooLong.message).toContain("1024 tokens, but 1025 were asked for (1000 in the prompt")
      const fits = yield* draft({ prompts, sampling: { ...sampling, maxTokens: 24 } })
      yield* (yield* Enqueue).submit(fits)
    }),
  )

  live(
    "refuses as busy what saturated workers cannot do in time, until what was held has ended",
    Effect.gen(function* () {
      const enqueue = yield* Enqueue
      yield* beat({ slotsFree: 0, requestsWaiting: 4, tokensPerSecond: 100 })
      const long = { sampling: { ...sampling, maxTokens: 996 }, timeoutMs: 25_000 }
      const first = yield* draft(long)
      yield* enqueue.submit(first)
      yield* enqueue.submit(yield* draft(long))
      const busy = yield* refusal(long)
      expect(busy.reason).toBe("busy")
      const waitMs = busy._tag === "EnqueueError" ? busy.retryAfterMs : 0
      expect(waitMs).toBeGreaterThan(4_000)
      expect(waitMs).toBeLessThanOrEqual(5_000)
      expect(busy).toMatchObject({
        numbers: { tokens_ahead: 2_000, tokens_asked: 1_000, tokens_per_second: 100 },
      })
      enqueue.ended(first.requestId)
      yield* enqueue.submit(yield* draft(long))
    }),
  )

  live(
    "passes over a partition whose owner is stalled",
    Effect.gen(function* () {
      const enqueue = yield* Enqueue
      yield* enqueue.submit(yield* draft({ promptCacheKey: "k" }))
      const counts = () =>
        Effect.forEach([0, 1, 2, 3], (n) => Effect.map(recordsIn(n), ({ length }) => length))
      const home = (yield* counts()).indexOf(1)
      const others = [0, 1, 2, 3].filter((n) => n !== home).map((n) => `${topic}/${n}`)
      yield* beat({ workerId: "stuck", partitions: [`${topic}/${home}`], stalledMs: 60_000 })
      yield* beat({ workerId: "well", partitions: others })
      yield* enqueue.submit(yield* draft({ promptCacheKey: "k" }))
      expect((yield* counts())[home]).toBe(1)
    }),
  )
})

describe("cancel", () => {
  live(
    "settles the request in the token log and tells the workers; again changes nothing",
    Effect.gen(function* () {
      const commands: Array<string | undefined> = []
      yield* (yield* CommandLog).tail({
        onCommands: (all) => commands.push(...all.map(({ value }) => value?.requestId)),
        onError: () => {},
      })
      const { requestId } = yield* draft()
      const enqueue = yield* Enqueue
      yield* enqueue.cancel(requestId, "client")
      yield* enqueue.cancel(requestId, "client")
      const tokenLog = yield* TokenLog
      const frames = yield* tokenLog.readFrom(tokenLog.partitionOf(requestId), 0, 1e6)
      const entry = { kind: "Cancelled", requestId, by: "client" }
      expect(frames.map(({ value }) => value?.entries)).toEqual([[entry], [entry]])
      yield* Effect.sleep(20)
      expect(commands).toEqual([requestId, requestId])
    }),
  )
})

describe("the catalog", () => {
  live(
    "has the model's limits, and is ready with its first ready worker",
    Effect.gen(function* () {
      const { served, ready } = yield* ModelCatalog
      expect(served).toMatchObject({ name: "tales-11m", version: "1", contextTokensMax: 1024 })
      expect(yield* ready).toBe("No worker of tales-11m is running.")
      yield* beat({ state: "starting" })
      expect(yield* ready).toBe("No worker of tales-11m is ready yet: starting.")
      yield* beat({})
      expect(yield* ready).toBeNull()
    }),
  )

  it.live("names a config.json that cannot be used", () =>
    Effect.gen(function* () {
      const config = Config.layerTest({ model: projectRoot })
      const workers = Layer.succeed(Workers, {
        take: () => {},
        live: () => [],
        isReady: () => false,
        owner: () => null,
        lastHeardAt: () => 0,
      })
      const catalog = ModelCatalog.layer.pipe(Layer.provide([config, workers]))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(catalog)))
      expect(error.message).toMatch(/config\.json: ENOENT/)
    }),
  )
})
