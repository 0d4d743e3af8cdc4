// Invariants 3, 5 and 6 on the log in memory: whatever writers interleave, repeat or lose, and
// however clients pause, leave and come back with their cursor, each transcript equals the fold of
// the log.
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Relay } from "../../src/relay/Relay.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { acceptedRequest } from "../support/enqueue.ts"
import { Client, foldOf, randomEntries, relayLayers, type Written } from "../support/relay.ts"
import { makeRandom } from "../support/tokenizer.ts"

type Random = (limit: number) => number

const pause = (random: Random) =>
  random(3) === 0 ? Effect.sleep(random(3)) : Effect.promise(() => new Promise<void>(setImmediate))

/** Subscribes, sometimes pauses, sometimes leaves and comes back; until it has the end. */
const faithless = Effect.fnUntraced(function* (requestId: string, client: Client, random: Random) {
  const relay = yield* Relay
  client.takesMore = () => random(3) !== 0
  while (!client.isOver) {
    const subscription = yield* relay.subscribe(requestId, client.cursor, client)
    for (let stay = random(6); stay > 0 && !client.isOver; stay--) {
      yield* pause(random)
      subscription.resume()
    }
    subscription.close()
    yield* pause(random)
  }
})

/** The requests' entries interleaved into frames of one to six; each request's keep their order. */
const writeAll = Effect.fnUntraced(function* (
  scripts: ReadonlyMap<string, Array<Written>>,
  random: Random,
) {
  const tokenLog = yield* TokenLog
  const left = new Map([...scripts].map(([requestId, script]) => [requestId, [...script]]))
  while (left.size > 0) {
    const ids = [...left.keys()]
    const frame: Array<Written> = []
    const first = ids[random(ids.length)] ?? ""
    const partition = tokenLog.partitionOf(first)
    const writer = left.get(first)?.[0]?.writer ?? ""
    for (const requestId of ids) {
      const script = left.get(requestId) ?? []
      if (tokenLog.partitionOf(requestId) !== partition) continue
      while (script[0]?.writer === writer && frame.length < 6 && random(4) > 0) {
        frame.push(...script.splice(0, 1))
      }
      if (script.length === 0) left.delete(requestId)
    }
    if (frame.length === 0) continue
    const entries = frame.map(({ entry }) => entry)
    if (random(2) === 0) yield* tokenLog.append(partition, writer, entries)
    else tokenLog.appendThen(partition, writer, entries, () => {})
    if (random(4) === 0) yield* pause(random)
  }
})

const scenario = (seed: number) =>
  Effect.gen(function* () {
    const random = makeRandom(seed)
    const relay = yield* Relay
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const scripts = new Map<string, Array<Written>>()
    for (let i = 0; i < 12; i++) {
      const requestId = newRequestId(now - random(1_000))
      scripts.set(requestId, randomEntries(requestId, random))
      relay.remember(acceptedRequest({ requestId }))
    }
    const fresh = new Map([...scripts.keys()].map((id) => [id, new Client()]))
    for (const [id, client] of fresh) client.subscription = relay.subscribeNew(id, client)
    const faithlessClients = [...scripts.keys()].flatMap((id) =>
      [1, 2].map(() => [id, new Client()] as const),
    )
    yield* Effect.all(
      [
        writeAll(scripts, random),
        ...faithlessClients.map(([id, client]) => faithless(id, client, random)),
      ],
      { concurrency: "unbounded" },
    )
    for (const [id, script] of scripts) {
      const expected = foldOf(script)
      expect(expected.at(-1)?.kind).toBe("terminal")
      yield* Effect.sleep(1).pipe(Effect.repeat({ until: () => fresh.get(id)?.isOver === true }))
      expect(fresh.get(id)?.events, `fresh, seed ${seed}`).toEqual(expected)
      for (const [of, client] of faithlessClients) {
        if (of === id) expect(client.events, `seed ${seed}`).toEqual(expected)
        expect(client.errors).toEqual([])
      }
      const from = random(expected.length + 1)
      const late = new Client(from)
      yield* relay.subscribe(id, from, late)
      expect(late.events, `late, seed ${seed}`).toEqual(expected.slice(from))
      const view = yield* relay.view(id)
      expect(view.events).toBe(expected.length)
    }
  }).pipe(Effect.provide(relayLayers()), Effect.scoped)

describe("transcripts", () => {
  for (let seed = 1; seed <= 25; seed++) {
    it.live(`equal the fold of the log, seed ${seed}`, () => scenario(seed))
  }
})
