// The contract of streams/Log.ts about what a log keeps no longer. Apart from the rest because a
// log may take its time over it: an adapter whose cleaner is slow runs these with patience or not
// at all.
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Log } from "../../streams/Log.ts"
import { eventually, type LogCase, readAll, record, textOf, texts, topic, watch } from "./log.ts"

const firstOf = (name: string) =>
  Effect.map(
    Effect.flatMap(Log, (log) => log.bounds({ topic: name, partition: 0 })),
    ({ first }) => first,
  )

/** Waits until the first offset is at least `offset`. */
const passed = Effect.fnUntraced(function* (name: string, offset: number) {
  for (let waited = 0; (yield* firstOf(name)) < offset; waited += 20) {
    if (waited > 20_000) throw new Error(`in vain awaited: retention up to ${offset}`)
    yield* Effect.sleep(20)
  }
})

export const retentionCases: ReadonlyArray<LogCase> = [
  {
    says: "deletes the oldest by bytes and moves first; what is left can be read",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const at = { topic: name, partition: 0 }
      yield* log.createTopics([topic(name, 1, { retentionBytes: 50_000 })])
      for (let i = 0; i < 30; i++) yield* log.append(at, [record(`${i}`.padEnd(10_000))])
      yield* passed(name, 24)
      const { first, next } = yield* log.bounds(at)
      assert.strictEqual(next, 30)
      const error = yield* Effect.flip(log.read(at, first - 1, 1000))
      assert.strictEqual(error.reason, "outOfRange")
      const left = yield* readAll(name, 0, first)
      assert.strictEqual(left[0]?.offset, first)
      assert.strictEqual(left.at(-1)?.offset, 29)
      assert.isAtMost(left.length, 6)
      const tail = { topic: name, from: new Map([[0, first - 1]]), ...watch(1) }
      assert.strictEqual((yield* Effect.flip(Effect.scoped(log.tail(tail)))).reason, "outOfRange")
    }),
  },
  {
    says: "deletes by age",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const at = { topic: name, partition: 0 }
      yield* log.createTopics([topic(name, 1, { retentionMs: 300 })])
      yield* log.append(
        at,
        texts(10).map((text) => record(text)),
      )
      yield* passed(name, 10)
      assert.deepStrictEqual(yield* log.bounds(at), { first: 10, next: 10 })
      assert.strictEqual(yield* log.append(at, [record("new")]), 10)
      assert.strictEqual(yield* log.offsetAt(at, 0), 10)
    }),
  },
  {
    says: "a compacted topic keeps the newest record of each key, in order",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const at = { topic: name, partition: 0 }
      yield* log.createTopics([topic(name, 1, { cleanup: "compact" })])
      const seen = watch(1)
      for (let i = 0; i < 30; i++) {
        yield* log.append(at, [record(`${i}`, `key${i % 3}`), record("same", "constant")])
      }
      yield* log.tail({ topic: name, from: new Map([[0, (yield* log.bounds(at)).first]]), ...seen })
      yield* eventually("the newest", () => seen.seen[0]!.offsets.includes(59))
      const newest = new Map((yield* readAll(name)).map((found) => [found.key, textOf(found)]))
      assert.deepStrictEqual([...newest].toSorted(), [
        ["constant", "same"],
        ["key0", "27"],
        ["key1", "28"],
        ["key2", "29"],
      ])
      const { offsets } = seen.seen[0]!
      assert.deepStrictEqual(
        offsets,
        offsets.toSorted((a, b) => a - b),
      )
      assert.strictEqual(yield* log.append(at, [record("next", "key0")]), 60)
    }),
  },
  {
    says: "a consumer whose committed offset was deleted goes on at the first there is",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const at = { topic: name, partition: 0 }
      yield* log.createTopics([topic(name, 1, { retentionBytes: 25_000 })])
      for (let i = 0; i < 10; i++) yield* log.append(at, [record(`${i}`.padEnd(10_000))])
      yield* passed(name, 8)
      const offsets: Array<number> = []
      yield* log.consume({
        group: `${name}-g`,
        member: "one",
        topics: [name],
        slots: 1,
        handler: {
          onAssigned: () => undefined,
          onRecords: (_, __, records) => void offsets.push(...records.map(({ offset }) => offset)),
          onError: (error) => assert.fail(error.message),
        },
      })
      yield* eventually("the last", () => offsets.includes(9))
      assert.strictEqual(offsets[0], yield* firstOf(name))
    }),
  },
]
