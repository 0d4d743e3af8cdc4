// The contract of streams/Log.ts as functions over any Log layer: every adapter runs them all.
// Nothing here takes a time for granted but that things happen in the end, nor that a test has the
// log to itself: names are unique. What a log does about records, order and positions; groups are
// in logGroups.ts.
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import {
  type AppendRecord,
  Log,
  LogError,
  type LogRecord,
  type TopicSpec,
} from "../../streams/Log.ts"

/** A test of the contract; `name` is a prefix that nobody else uses. */
export interface LogCase {
  readonly says: string
  readonly run: (name: string) => Effect.Effect<void, unknown, Log | Scope.Scope>
}

const forEver = Number.MAX_SAFE_INTEGER

export const topic = (name: string, partitions = 1, more: Partial<TopicSpec> = {}): TopicSpec => ({
  name,
  partitions,
  cleanup: "delete",
  retentionMs: forEver,
  retentionBytes: forEver,
  ...more,
})

export const record = (text: string, key: string | null = null): AppendRecord => ({
  key,
  value: Buffer.from(text),
})

export const textOf = ({ value }: LogRecord): string => Buffer.from(value).toString()

export const texts = (count: number, prefix = "r"): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** Waits until it holds; fails with what was awaited. */
export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let waited = 0; !holds(); waited += 5) {
      if (waited > 20_000) throw new Error(`in vain awaited: ${what}`)
      yield* Effect.sleep(5)
    }
  })

/** Reads a partition from `offset` to its end. */
export const readAll = Effect.fnUntraced(function* (topicName: string, partition = 0, offset = 0) {
  const log = yield* Log
  const all: Array<LogRecord> = []
  let next = offset
  while (true) {
    const records = yield* log.read({ topic: topicName, partition }, next, 64 * 1024)
    if (records.length === 0) return all
    all.push(...records)
    next = all[all.length - 1]!.offset + 1
  }
})

const failure = <A>(effect: Effect.Effect<A, LogError, Log>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

const topics: ReadonlyArray<LogCase> = [
  {
    says: "makes topics idempotently, keeps a wider one, refuses a narrower one",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name, 3)])
      yield* log.append({ topic: name, partition: 2 }, [record("kept")])
      yield* log.createTopics([topic(name, 3)])
      yield* log.createTopics([topic(name, 2)])
      const there = (yield* log.topics).find((spec) => spec.name === name)
      assert.strictEqual(there?.partitions, 3)
      assert.strictEqual(there?.cleanup, "delete")
      assert.strictEqual(yield* failure(log.createTopics([topic(name, 4)])), "topicNarrower")
      assert.deepStrictEqual((yield* readAll(name, 2)).map(textOf), ["kept"])
    }),
  },
  {
    says: "knows no topic and no partition that was not made",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name, 1)])
      const missing = { topic: `${name}-missing`, partition: 0 }
      const beyond = { topic: name, partition: 1 }
      for (const at of [missing, beyond]) {
        assert.strictEqual(yield* failure(log.append(at, [record("x")])), "noSuchTopic")
        assert.strictEqual(yield* failure(log.read(at, 0, 100)), "noSuchTopic")
        assert.strictEqual(yield* failure(log.bounds(at)), "noSuchTopic")
        assert.strictEqual(yield* failure(log.offsetAt(at, 0)), "noSuchTopic")
      }
      const tail = { topic: missing.topic, from: "end" as const, onRecords: fail, onError: fail }
      assert.strictEqual(yield* failure(Effect.scoped(log.tail(tail))), "noSuchTopic")
    }),
  },
]

const fail = (): never => {
  throw new Error("nothing was to be delivered")
}

const appends: ReadonlyArray<LogCase> = [
  {
    says: "gives the first record's offset; records of one call follow one another",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name, 2)])
      const at = { topic: name, partition: 0 }
      assert.strictEqual(
        yield* log.append(
          at,
          texts(3).map((text) => record(text)),
        ),
        0,
      )
      assert.strictEqual(yield* log.append(at, [record("r3")]), 3)
      assert.strictEqual(yield* log.append({ ...at, partition: 1 }, [record("other")]), 0)
      const records = yield* readAll(name)
      assert.deepStrictEqual(records.map(textOf), texts(4))
      assert.deepStrictEqual(
        records.map(({ offset }) => offset),
        [0, 1, 2, 3],
      )
      assert.deepStrictEqual(yield* log.bounds(at), { first: 0, next: 4 })
    }),
  },
  {
    says: "keeps keys and values as they are, also empty and large ones",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name)])
      const large = Buffer.alloc(900_000, "sluice")
      const written: ReadonlyArray<AppendRecord> = [
        { key: null, value: new Uint8Array(0) },
        { key: "", value: Buffer.from([0, 255, 128]) },
        { key: "schlüssel-漢字", value: large },
        { key: "k", value: Buffer.from("after") },
      ]
      yield* log.append({ topic: name, partition: 0 }, written)
      const records = yield* readAll(name)
      assert.deepStrictEqual(
        records.map(({ key }) => key),
        written.map(({ key }) => key),
      )
      for (const [i, { value }] of records.entries()) {
        assert.isTrue(Buffer.from(value).equals(Buffer.from(written[i]!.value)), `value ${i}`)
      }
    }),
  },
  {
    says: "keeps call order within a partition over many appends in flight, and answers each once",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name, 3)])
      const answers: Array<Array<number>> = [[], [], []]
      for (let i = 0; i < 600; i++) {
        const partition = i % 3
        const batch = texts((i % 4) + 1, `${i}-`).map((text) => record(text))
        log.appendThen({ topic: name, partition }, batch, (error, offset) => {
          assert.isNull(error)
          answers[partition]!.push(offset)
        })
        if (i % 50 === 0) yield* Effect.sleep(1)
      }
      const count = () => answers.reduce((sum, { length }) => sum + length, 0)
      yield* eventually("600 answers", () => count() >= 600)
      for (const [partition, offsets] of answers.entries()) {
        const records = yield* readAll(name, partition)
        const calls = Array.from({ length: 200 }, (_, i) => i * 3 + partition)
        const expected = calls.flatMap((i) => texts((i % 4) + 1, `${i}-`))
        assert.deepStrictEqual(records.map(textOf), expected)
        const starts = calls.map((i) => expected.indexOf(`${i}-0`))
        assert.deepStrictEqual(offsets, starts)
      }
    }),
  },
  {
    says: "sets timestamps that do not go back and are near the clock",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name)])
      const before = Date.now()
      for (const text of texts(20)) yield* log.append({ topic: name, partition: 0 }, [record(text)])
      const times = (yield* readAll(name)).map(({ timestamp }) => timestamp)
      assert.deepStrictEqual(
        times,
        times.toSorted((a, b) => a - b),
      )
      assert.isAtLeast(times[0]!, before - 1000)
      assert.isAtMost(times[19]!, Date.now() + 1000)
    }),
  },
]

const reads: ReadonlyArray<LogCase> = [
  {
    says: "reads from any offset, never below it, by bytes but one record at least",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name)])
      const at = { topic: name, partition: 0 }
      for (let i = 0; i < 10; i++) {
        yield* log.append(
          at,
          texts(10, `${i}-`).map((text) => record(text.padEnd(100))),
        )
      }
      for (let offset = 0; offset < 100; offset++) {
        const records = yield* log.read(at, offset, 1000)
        assert.strictEqual(records[0]?.offset, offset)
        assert.isAtMost(records.length, 10)
        const expected = Array.from(records, (_, i) => offset + i)
        assert.deepStrictEqual(
          records.map((found) => found.offset),
          expected,
        )
      }
      assert.lengthOf(yield* log.read(at, 42, 1), 1)
      assert.lengthOf(yield* log.read(at, 100, 1000), 0)
      assert.lengthOf(yield* log.read(at, 5000, 1000), 0)
    }),
  },
  {
    says: "finds the first offset at or after a time; next where there is none",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name)])
      const at = { topic: name, partition: 0 }
      assert.strictEqual(yield* log.offsetAt(at, 0), 0)
      for (let i = 0; i < 8; i++) {
        yield* log.append(at, [record(`a${i}`), record(`b${i}`)])
        yield* Effect.sleep(4)
      }
      const records = yield* readAll(name)
      assert.strictEqual(yield* log.offsetAt(at, 0), 0)
      for (const { timestamp } of records) {
        const first = records.find((found) => found.timestamp >= timestamp)!
        assert.strictEqual(yield* log.offsetAt(at, timestamp), first.offset)
        const after = records.find((found) => found.timestamp > timestamp)?.offset ?? 16
        assert.strictEqual(yield* log.offsetAt(at, timestamp + 1), after)
      }
      assert.strictEqual(yield* log.offsetAt(at, Date.now() + 3_600_000), 16)
    }),
  },
]

interface Seen {
  readonly offsets: Array<number>
  readonly texts: Array<string>
}

export const watch = (partitions: number) => {
  const seen: ReadonlyArray<Seen> = Array.from({ length: partitions }, () => ({
    offsets: [],
    texts: [],
  }))
  const errors: Array<LogError> = []
  return {
    seen,
    errors,
    count: () => seen.reduce((sum, { texts: { length } }) => sum + length, 0),
    onRecords: ({ partition }: { partition: number }, records: ReadonlyArray<LogRecord>) => {
      for (const found of records) {
        seen[partition]!.offsets.push(found.offset)
        seen[partition]!.texts.push(textOf(found))
      }
    },
    onError: (error: LogError) => void errors.push(error),
  }
}

const tails: ReadonlyArray<LogCase> = [
  {
    says: "tails from offsets through what is there into what comes, without gap or repetition",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name, 2)])
      for (const text of texts(30)) yield* log.append({ topic: name, partition: 0 }, [record(text)])
      const { seen, count, errors, onRecords, onError } = watch(2)
      const from = new Map([[0, 10]])
      yield* log.tail({ topic: name, from, onRecords, onError })
      for (const text of texts(30, "late")) {
        yield* log.append({ topic: name, partition: 0 }, [record(text)])
        yield* log.append({ topic: name, partition: 1 }, [record(text), record(`${text}+`)])
      }
      yield* eventually("110 records", () => count() >= 110)
      assert.deepStrictEqual(seen[0]!.texts, [...texts(30).slice(10), ...texts(30, "late")])
      assert.deepStrictEqual(
        seen[0]!.offsets,
        Array.from({ length: 50 }, (_, i) => i + 10),
      )
      assert.deepStrictEqual(
        seen[1]!.texts,
        texts(30, "late").flatMap((text) => [text, `${text}+`]),
      )
      assert.lengthOf(errors, 0)
    }),
  },
  {
    says: "tails from the end: nothing earlier, everything later; nothing after its scope",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name)])
      const at = { topic: name, partition: 0 }
      yield* log.append(at, [record("before")])
      const { seen, count, onRecords, onError } = watch(1)
      yield* Effect.gen(function* () {
        yield* log.tail({ topic: name, from: "end", onRecords, onError })
        yield* log.append(at, [record("during")])
        yield* eventually("one record", () => count() > 0)
      }).pipe(Effect.scoped)
      yield* log.append(at, [record("after")])
      yield* Effect.sleep(50)
      assert.deepStrictEqual(seen[0]!.texts, ["during"])
    }),
  },
  {
    says: "several tails see the same, also a late one with a long way to go",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      yield* log.createTopics([topic(name)])
      const at = { topic: name, partition: 0 }
      const value = Buffer.alloc(2000, "x")
      const batch = Array.from({ length: 100 }, () => ({ key: null, value }))
      const first = watch(1)
      yield* log.tail({ topic: name, from: "end", ...first })
      for (let i = 0; i < 40; i++) yield* log.append(at, batch)
      const late = watch(1)
      yield* log.tail({ topic: name, from: new Map([[0, 0]]), ...late })
      yield* eventually("all records twice", () => first.count() + late.count() >= 8000)
      const all = Array.from({ length: 4000 }, (_, i) => i)
      assert.deepStrictEqual(first.seen[0]!.offsets, all)
      assert.deepStrictEqual(late.seen[0]!.offsets, all)
    }),
  },
]

export const logCases: ReadonlyArray<LogCase> = [...topics, ...appends, ...reads, ...tails]
