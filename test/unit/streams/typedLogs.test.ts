// The typed logs on the log in memory: what goes in comes out as its type, damage in its place, and
// a request is found by its id alone.
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import type { RequestAccepted, TokenEntry, TokenFrame } from "../../../schemas/types.ts"
import { CommandLog } from "../../../streams/CommandLog.ts"
import { DeadLetterLog } from "../../../streams/DeadLetterLog.ts"
import { Log } from "../../../streams/Log.ts"
import { layerMemory } from "../../../streams/memory/MemoryLog.ts"
import type { ReadRecord } from "../../../streams/readRecord.ts"
import { newRequestId } from "../../../streams/requestId.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { TokenLog } from "../../../streams/TokenLog.ts"
import { modelTopics, requestTopic, sharedTopics, tokenTopic } from "../../../streams/topics.ts"
import { WorkerLog } from "../../../streams/WorkerLog.ts"
import { eventually } from "../../contract/log.ts"
import { exampleEntries, exampleRequest } from "../../support/events.ts"

const options = {
  requestPartitions: 3,
  tokenPartitions: 4,
  retentionMs: 86_400_000,
  retentionBytes: 1024 ** 3,
}

const model = { model: exampleRequest.model, version: exampleRequest.version }

const layerTopics = Layer.effectDiscard(
  Effect.flatMap(Log, (log) =>
    log.createTopics([
      ...sharedTopics(options),
      ...modelTopics(model.model, model.version, options),
      ...modelTopics("other", "2", options),
    ]),
  ),
)

const layerTyped = Layer.mergeAll(
  RequestLog.layer,
  TokenLog.layer,
  CommandLog.layer,
  DeadLetterLog.layer,
  WorkerLog.layer,
)

const layer = layerTyped.pipe(Layer.provideMerge(layerTopics), Layer.provideMerge(layerMemory))

const now = Clock.currentTimeMillis

const accepted = (acceptedAt: number, more: Partial<RequestAccepted> = {}): RequestAccepted => ({
  ...exampleRequest,
  requestId: newRequestId(acceptedAt),
  acceptedAt,
  ...more,
})

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const rubbish = { key: null, value: Buffer.from("rubbish") }

describe("RequestLog", () => {
  it.live("finds a request in any topic and partition by its id, past damaged records", () =>
    Effect.gen(function* () {
      const requests = yield* RequestLog
      const log = yield* Log
      const at = yield* now
      const all = (["priority", "default", "flex"] as const).flatMap((tier) =>
        [0, 1, 2].map((partition) => ({ partition, request: accepted(at, { tier }) })),
      )
      for (const { partition, request } of all) {
        const topic = requestTopic(request.model, request.version, request.tier)
        yield* log.append({ topic, partition }, [rubbish])
        yield* requests.append(request, { partition, key: "k" })
      }
      for (const { request } of all) {
        assert.deepStrictEqual(plain(yield* requests.find(request.requestId)), plain(request))
      }
      const elsewhere = accepted(at, { model: "other", version: "2" })
      yield* requests.append(elsewhere, { partition: 2, key: "k" })
      const found = yield* requests.find(elsewhere.requestId)
      assert.strictEqual(typeof found === "string" ? found : found.model, "other")
    }).pipe(Effect.provide(layer)),
  )

  it.live("finds one whose id is half a minute older or younger than its record", () =>
    Effect.gen(function* () {
      const requests = yield* RequestLog
      const at = yield* now
      for (const difference of [-30_000, 30_000]) {
        const request = accepted(at + difference)
        yield* requests.append(request, { partition: 1, key: "k" })
        const found = yield* requests.find(request.requestId)
        assert.strictEqual(typeof found === "string" ? found : found.requestId, request.requestId)
      }
      assert.strictEqual(yield* requests.find(newRequestId(at)), "unknown")
      assert.strictEqual(yield* requests.find(newRequestId(at - 3_600_000)), "unknown")
    }).pipe(Effect.provide(layer)),
  )

  it.live("says gone where retention has passed the id's time", () =>
    Effect.gen(function* () {
      const log = yield* Log
      const requests = yield* RequestLog
      const short = modelTopics("short", "1", { ...options, retentionMs: 100 })
      yield* log.createTopics(short)
      const request = accepted(yield* now, { model: "short", version: "1" })
      yield* requests.append(request, { partition: 0, key: "k" })
      const topic = requestTopic("short", "1", request.tier)
      for (let first = 0; first === 0;) {
        yield* Effect.sleep(20)
        first = (yield* log.bounds({ topic, partition: 0 })).first
      }
      assert.strictEqual(yield* requests.find(request.requestId), "gone")
    }).pipe(Effect.provide(layer)),
  )

  it.live("a consumer gets requests and damage in their places", () =>
    Effect.gen(function* () {
      const requests = yield* RequestLog
      const log = yield* Log
      const request = accepted(yield* now)
      const topic = requestTopic(request.model, request.version, request.tier)
      yield* log.append({ topic, partition: 0 }, [rubbish])
      yield* requests.append(request, { partition: 0, key: "k" })
      const got: Array<ReadRecord<RequestAccepted>> = []
      yield* requests.consume({
        ...model,
        member: "one",
        slots: 1,
        onAssigned: () => undefined,
        onRequests: (_, __, records) => void got.push(...records),
        onError: (error) => assert.fail(error.message),
      })
      yield* eventually("both", () => got.length === 2)
      assert.strictEqual(got[0]?.damage?.reason, "notFramed")
      assert.strictEqual(got[1]?.value?.requestId, request.requestId)
      assert.deepStrictEqual(
        got.map(({ offset }) => offset),
        [0, 1],
      )
    }).pipe(Effect.scoped, Effect.provide(layer)),
  )
})

describe("TokenLog", () => {
  it.live("frames come back in order with their writer; a damaged one is told, not skipped", () =>
    Effect.gen(function* () {
      const tokens = yield* TokenLog
      const log = yield* Log
      assert.strictEqual(tokens.partitions, 4)
      const { requestId } = exampleEntries[0]!
      const partition = tokens.partitionOf(requestId)
      const frames: Array<ReadRecord<TokenFrame>> = []
      yield* tokens.tail({
        from: "end",
        onFrames: (_, records) => void frames.push(...records),
        onError: (error) => assert.fail(error.message),
      })
      yield* tokens.append(partition, "w-1", exampleEntries)
      yield* log.append({ topic: tokenTopic, partition }, [rubbish])
      const entries: Array<TokenEntry> = [exampleEntries[0]!]
      let offset = -1
      tokens.appendThen(partition, "w-2", entries, (error, at) => {
        assert.isNull(error)
        offset = at
      })
      entries.length = 0
      yield* eventually("three frames", () => frames.length === 3)
      assert.strictEqual(offset, 2)
      assert.deepStrictEqual(plain(frames[0]?.value?.entries), plain(exampleEntries))
      assert.strictEqual(frames[1]?.damage?.reason, "notFramed")
      assert.strictEqual(frames[2]?.value?.writer, "w-2")
      assert.lengthOf(frames[2]!.value!.entries, 1)
      const read = yield* tokens.readFrom(partition, 1, 1024)
      assert.deepStrictEqual(
        read.map((one) => one.offset),
        [1, 2],
      )
    }).pipe(Effect.scoped, Effect.provide(layer)),
  )

  it.live("starts a request's history at or below all of its entries", () =>
    Effect.gen(function* () {
      const tokens = yield* TokenLog
      const requestId = newRequestId(yield* now)
      const partition = tokens.partitionOf(requestId)
      const claim = { kind: "AttemptClaimed", requestId, attempt: 1, worker: "w" } as const
      const offset = yield* tokens.append(partition, "w", [claim])
      assert.isAtMost(yield* tokens.startOf(requestId), offset)
      const later = newRequestId((yield* now) + 3_600_000)
      const { next } = yield* tokens.bounds(tokens.partitionOf(later))
      assert.strictEqual(yield* tokens.startOf(later), next)
    }).pipe(Effect.provide(layer)),
  )
})

describe("the other logs", () => {
  it.live("dead letters are kept with the request's bytes", () =>
    Effect.gen(function* () {
      const letters = yield* DeadLetterLog
      const { requestId } = exampleRequest
      const letter = { requestId, deadAt: 5, attempts: 3, code: "c", message: "m" }
      yield* letters.append({ ...letter, request: Uint8Array.from([1, 2, 3]) })
      const [read] = yield* letters.readFrom(0, 1024)
      assert.deepStrictEqual([...(read?.value?.request ?? [])], [1, 2, 3])
      assert.deepInclude(read!.value!, letter)
    }).pipe(Effect.provide(layer)),
  )

  it.live("commands are followed from now on; worker states from the beginning", () =>
    Effect.gen(function* () {
      const commands = yield* CommandLog
      const workers = yield* WorkerLog
      const log = yield* Log
      const status = {
        workerId: "w",
        at: 1,
        model: "m",
        version: "1",
        state: "ready" as const,
        partitions: [],
        slotsFree: 1,
        slots: 1,
        blocksFree: 1,
        blocks: 1,
        requestsRunning: 0,
        requestsWaiting: 0,
        tokensOutstanding: 0,
        tokensPerSecond: 0,
        stalledMs: 0,
        device: "cpu",
      }
      const cancelled: Array<string> = []
      const states: Array<number> = []
      const onError = (error: Error) => assert.fail(error.message)
      yield* commands.append({ requestId: "req-before", cancelledAt: 1 })
      yield* workers.append(status)
      yield* workers.append({ ...status, at: 2 })
      yield* commands.tail({
        onCommands: (found) =>
          void cancelled.push(...found.flatMap((f) => f.value?.requestId ?? [])),
        onError,
      })
      yield* workers.tail({
        onStatuses: (found) => void states.push(...found.flatMap((f) => f.value?.at ?? [])),
        onError,
      })
      yield* commands.append({ requestId: "req-after", cancelledAt: 2 })
      workers.appendThen({ ...status, at: 3 }, () => undefined)
      yield* eventually("all", () => cancelled.length > 0 && states.includes(3))
      assert.deepStrictEqual(cancelled, ["req-after"])
      assert.deepStrictEqual(states, [2, 3])
      assert.isAbove((yield* log.topics).length, 5)
    }).pipe(Effect.scoped, Effect.provide(layer)),
  )
})
