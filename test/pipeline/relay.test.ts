// The relay's promises besides transcripts: what is unknown, gone or ahead, bounds, damaged
// records, a client that is full, and who is told when a request ends.
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { TokenEntry } from "../../schemas/types.ts"
import { Relay } from "../../src/relay/Relay.ts"
import { Log } from "../../streams/Log.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { tokenTopic } from "../../streams/topics.ts"
import { acceptedRequest } from "../support/enqueue.ts"
import { Client, relayLayers, tightBounds, topicOptions } from "../support/relay.ts"

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

const claim = (requestId: string, attempt = 1): TokenEntry => ({
  kind: "AttemptClaimed",
  requestId,
  attempt,
  worker: "w1",
})
const tokens = (requestId: string, position: number, ids: ReadonlyArray<number>): TokenEntry => ({
  kind: "TokensGenerated",
  requestId,
  attempt: 1,
  choice: 0,
  position,
  ids,
  texts: ids.map(String),
  logprobs: null,
  finish: null,
  stopReason: null,
})
const finished = (requestId: string): TokenEntry => ({
  kind: "GenerationFinished",
  requestId,
  attempt: 1,
  promptTokens: 1,
  cachedTokens: 0,
})

const write = Effect.fnUntraced(function* (...entries: ReadonlyArray<TokenEntry>) {
  const log = yield* TokenLog
  return yield* log.append(log.partitionOf(entries[0]?.requestId ?? ""), "w1", entries)
})

/** A request that the relay knows, with ids above those of the last one. */
const known = Effect.gen(function* () {
  const requestId = newRequestId(yield* now)
  const relay = yield* Relay
  relay.remember(acceptedRequest({ requestId }))
  return { requestId, relay }
})

const until = (condition: () => boolean) =>
  Effect.sleep(1).pipe(Effect.repeat({ until: condition }), Effect.timeout(5_000))

const live = <E>(
  name: string,
  test: Effect.Effect<void, E, Relay | TokenLog | RequestLog | Log>,
  bounds = tightBounds,
) =>
  it.live(name, () => test.pipe(Effect.provide(relayLayers(topicOptions, bounds)), Effect.scoped))

describe("Relay", () => {
  live(
    "finds a request in the log, and tells unknown ids and hostile ones from it",
    Effect.gen(function* () {
      const relay = yield* Relay
      const requestId = newRequestId(yield* now)
      const request = acceptedRequest({ requestId })
      yield* (yield* RequestLog).append(request, { partition: 1, key: "k" })
      expect(yield* relay.find(requestId)).toEqual(request)
      for (const id of [newRequestId(yield* now), "../../etc/passwd", "req-zz"]) {
        expect(yield* Effect.flip(relay.find(id))).toMatchObject({ reason: "unknownRequest" })
        const subscribed = Effect.flip(relay.subscribe(id, 0, new Client()))
        expect(yield* subscribed).toMatchObject({ reason: "unknownRequest" })
      }
    }),
  )

  live(
    "refuses a cursor past the events there are, running or ended, and is silent at the end's",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      yield* write(claim(requestId), tokens(requestId, 0, [7, 8]))
      const ahead = (cursor: number) =>
        Effect.flip(relay.subscribe(requestId, cursor, new Client(cursor)))
      expect(yield* ahead(3)).toMatchObject({ reason: "cursorAhead" })
      yield* write(finished(requestId))
      expect(yield* ahead(4)).toMatchObject({ reason: "cursorAhead" })
      const atEnd = new Client(3)
      yield* relay.subscribe(requestId, 3, atEnd)
      expect([atEnd.events, atEnd.errors]).toEqual([[], []])
    }),
  )

  live(
    "gives nothing to a client that is full until it resumes, and then what it missed",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      const slow = new Client()
      const quick = new Client()
      slow.takesMore = () => false
      const subscription = relay.subscribeNew(requestId, slow)
      relay.subscribeNew(requestId, quick)
      yield* write(claim(requestId), tokens(requestId, 0, [1]))
      yield* until(() => quick.cursor === 1)
      yield* write(tokens(requestId, 1, [2, 3]))
      yield* write(tokens(requestId, 3, [4]))
      yield* until(() => quick.cursor === 4)
      expect(slow.cursor).toBe(1)
      slow.takesMore = () => true
      subscription.resume()
      yield* until(() => slow.cursor === 4)
      yield* write(finished(requestId))
      yield* until(() => slow.isOver)
      expect(slow.events).toEqual(quick.events)
    }),
  )

  live(
    "takes a resume from within a delivery, and gives nothing after close",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      const eager = new Client()
      const subscription = relay.subscribeNew(requestId, eager)
      eager.takesMore = () => (subscription.resume(), false)
      const left = new Client()
      const leaving = relay.subscribeNew(requestId, left)
      left.takesMore = () => (leaving.close(), true)
      yield* write(claim(requestId), tokens(requestId, 0, [1]))
      yield* write(tokens(requestId, 1, [2]), finished(requestId))
      yield* until(() => eager.isOver)
      expect(left.cursor).toBe(1)
    }),
  )

  live(
    "is bounded by subscribers, and free again when they leave",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      const first = relay.subscribeNew(requestId, new Client())
      const second = new Client()
      relay.subscribeNew(requestId, second)
      expect(second.errors).toMatchObject([{ reason: "tooManySubscribers" }])
      const resumed = relay.subscribe(requestId, 0, new Client())
      expect(yield* Effect.flip(resumed)).toMatchObject({ reason: "tooManySubscribers" })
      first.close()
      first.close()
      yield* resumed
    }),
    { ...tightBounds, subscribersMax: 1 },
  )

  live(
    "tells of every request that ends, followed or not",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      const ended: Array<string> = []
      relay.onEnded((id) => ended.push(id))
      const other = newRequestId(yield* now)
      yield* write(claim(requestId), finished(requestId))
      yield* write({ kind: "Cancelled", requestId: other, by: "test" })
      yield* until(() => ended.length === 2)
      expect(new Set(ended)).toEqual(new Set([requestId, other]))
    }),
  )

  live(
    "shows a request as its fold stands",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      expect(yield* relay.view(requestId)).toMatchObject({ state: "queued", events: 0 })
      yield* write(claim(requestId), tokens(requestId, 0, [1, 2]))
      expect(yield* relay.view(requestId)).toMatchObject({
        state: "running",
        attempt: 1,
        events: 2,
        texts: ["12"],
        completionTokens: 2,
        terminal: null,
      })
      yield* write({ kind: "Expired", requestId, deadline: 1 })
      expect(yield* relay.view(requestId)).toMatchObject({
        state: "expired",
        events: 3,
        terminal: { code: "deadline_exceeded" },
      })
    }),
  )

  live(
    "tells whoever misses a part by a damaged record, and nobody else",
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      const { requestId: otherId } = yield* known
      const log = yield* Log
      const partition = { topic: tokenTopic, partition: (yield* TokenLog).partitionOf(requestId) }
      const client = new Client()
      const other = new Client()
      relay.subscribeNew(requestId, client)
      relay.subscribeNew(otherId, other)
      yield* write(claim(requestId), tokens(requestId, 0, [1]))
      yield* log.append(partition, [{ key: null, value: Uint8Array.of(1, 2, 3) }])
      yield* write(tokens(requestId, 2, [3]))
      yield* write(claim(otherId), tokens(otherId, 0, [1]), finished(otherId))
      yield* until(() => client.errors.length > 0 && other.isOver)
      expect(client.errors).toMatchObject([{ _tag: "LogError", reason: "corrupt" }])
      expect(other.errors).toEqual([])
    }),
  )
})

describe("retention", () => {
  const narrow = { ...topicOptions, tokenPartitions: 1, retentionBytes: 3_000 }
  it.live("a request whose beginning was removed is gone; a younger one is not", () =>
    Effect.gen(function* () {
      const { relay, requestId } = yield* known
      yield* write(claim(requestId), tokens(requestId, 0, [1]))
      const tokenLog = yield* TokenLog
      const filler = newRequestId(yield* now)
      for (let i = 0; i < 40; i++) yield* write(tokens(filler, i * 50, new Array(50).fill(7)))
      const removed = Effect.map(tokenLog.bounds(0), ({ first }) => first > 5)
      yield* Effect.sleep(50).pipe(Effect.andThen(removed), Effect.repeat({ until: (yes) => yes }))
      yield* write(finished(requestId))
      const gone = Effect.flip(relay.subscribe(requestId, 1, new Client(1)))
      expect(yield* gone).toMatchObject({ reason: "gone" })
      const young = yield* known
      yield* write(claim(young.requestId), tokens(young.requestId, 0, [1]))
      const client = new Client()
      yield* relay.subscribe(young.requestId, 0, client)
      expect(client.cursor).toBe(1)
    }).pipe(Effect.provide(relayLayers(narrow)), Effect.scoped),
  )
})
