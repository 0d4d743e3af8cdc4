// The contract of streams/Log.ts about consumer groups: who owns what, from where it is delivered,
// and which commits count. Run on every adapter, as log.ts is.
import { assert } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { type Consumer, Log, type LogError, type TopicPartition } from "../../streams/Log.ts"
import { eventually, type LogCase, record, textOf, texts, topic } from "./log.ts"

interface Delivered {
  readonly epoch: number
  readonly partition: number
  readonly offset: number
  readonly text: string
}

interface Joined {
  readonly consumer: Consumer
  readonly assignments: Array<{ epoch: number; partitions: ReadonlyArray<TopicPartition> }>
  readonly delivered: Array<Delivered>
  readonly errors: Array<LogError>
  readonly leave: Effect.Effect<void>
  readonly epoch: () => number
  /** Owned now, sorted. */
  readonly owned: () => ReadonlyArray<number>
}

interface JoinOptions {
  readonly topics: ReadonlyArray<string>
  readonly member: string
  readonly slots?: number
}

const join = Effect.fnUntraced(function* (group: string, options: JoinOptions) {
  const log = yield* Log
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const assignments: Joined["assignments"] = []
  const delivered: Array<Delivered> = []
  const errors: Array<LogError> = []
  const consumer = yield* log
    .consume({
      group,
      member: options.member,
      topics: options.topics,
      slots: options.slots ?? 1,
      handler: {
        onAssigned: (epoch, partitions) => void assignments.push({ epoch, partitions }),
        onRecords: (epoch, { partition }, records) => {
          for (const found of records) {
            delivered.push({ epoch, partition, offset: found.offset, text: textOf(found) })
          }
        },
        onError: (error) => void errors.push(error),
      },
    })
    .pipe(Scope.provide(scope))
  const joined: Joined = {
    consumer,
    assignments,
    delivered,
    errors,
    leave: Scope.close(scope, Exit.void),
    epoch: () => assignments.at(-1)?.epoch ?? 0,
    owned: () =>
      (assignments.at(-1)?.partitions ?? [])
        .map(({ partition }) => partition)
        .toSorted((a, b) => a - b),
  }
  return joined
})

const filled = Effect.fnUntraced(function* (name: string, partitions: number, each: number) {
  const log = yield* Log
  yield* log.createTopics([topic(name, partitions)])
  for (let partition = 0; partition < partitions; partition++) {
    const batch = texts(each, `${partition}-`).map((text) => record(text))
    if (each > 0) yield* log.append({ topic: name, partition }, batch)
  }
})

const offsetsOf = (joined: Joined, epoch: number, partition: number) =>
  joined.delivered
    .filter((one) => one.epoch === epoch && one.partition === partition)
    .map(({ offset }) => offset)

const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)

const delivery: ReadonlyArray<LogCase> = [
  {
    says: "a lone member gets every partition, in order, from the first record",
    run: Effect.fnUntraced(function* (name) {
      yield* filled(name, 3, 20)
      const one = yield* join(`${name}-g`, { topics: [name], member: "one" })
      yield* eventually("60 records", () => one.delivered.length >= 60)
      assert.deepStrictEqual(one.owned(), [0, 1, 2])
      for (const partition of [0, 1, 2]) {
        assert.deepStrictEqual(offsetsOf(one, one.epoch(), partition), upTo(20))
      }
      yield* (yield* Log).append({ topic: name, partition: 1 }, [record("new")])
      yield* eventually("the new one", () => one.delivered.at(-1)?.text === "new")
      assert.lengthOf(one.errors, 0)
    }),
  },
  {
    says: "delivery starts at the committed offset; what was not committed comes again",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const group = `${name}-g`
      yield* filled(name, 1, 20)
      assert.isNull(yield* log.committed(group, { topic: name, partition: 0 }))
      const first = yield* join(group, { topics: [name], member: "first" })
      yield* eventually("20 records", () => first.delivered.length >= 20)
      yield* first.consumer.commit(first.epoch(), [{ topic: name, partition: 0, offset: 12 }])
      assert.strictEqual(yield* log.committed(group, { topic: name, partition: 0 }), 12)
      yield* first.leave
      const second = yield* join(group, { topics: [name], member: "second" })
      yield* eventually("8 records", () => second.delivered.length >= 8)
      assert.deepStrictEqual(offsetsOf(second, second.epoch(), 0), upTo(8, 12))
    }),
  },
  {
    says: "a paused partition delivers nothing until it is resumed, also over a kept assignment",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const group = `${name}-g`
      yield* filled(name, 2, 0)
      const one = yield* join(group, { topics: [name], member: "one", slots: 2 })
      yield* eventually("an assignment", () => one.owned().length === 2)
      one.consumer.pause([0, 1].map((partition) => ({ topic: name, partition })))
      yield* log.append({ topic: name, partition: 0 }, [record("a")])
      yield* log.append({ topic: name, partition: 1 }, [record("b")])
      const two = yield* join(group, { topics: [name], member: "two", slots: 2 })
      yield* eventually("a share each", () => one.owned().length === 1 && two.owned().length === 1)
      yield* eventually("the other's record", () => two.delivered.length === 1)
      yield* Effect.sleep(50)
      assert.lengthOf(one.delivered, 0)
      one.consumer.resume(one.owned().map((partition) => ({ topic: name, partition })))
      yield* eventually("the record", () => one.delivered.length === 1)
    }),
  },
]

const ownership: ReadonlyArray<LogCase> = [
  {
    says: "partitions are shared by slots, each has one owner, and few of them move",
    run: Effect.fnUntraced(function* (name) {
      const group = `${name}-g`
      yield* filled(name, 8, 0)
      const large = yield* join(group, { topics: [name], member: "large", slots: 3 })
      yield* eventually("all of them", () => large.owned().length === 8)
      const small = yield* join(group, { topics: [name], member: "small", slots: 1 })
      yield* eventually("6 and 2", () => large.owned().length === 6 && small.owned().length === 2)
      assert.deepStrictEqual(
        [...large.owned(), ...small.owned()].toSorted((a, b) => a - b),
        upTo(8),
      )
      const kept = large.owned()
      const third = yield* join(group, { topics: [name], member: "third", slots: 4 })
      yield* eventually("3, 1 and 4", () => third.owned().length === 4)
      yield* eventually("3", () => large.owned().length === 3)
      assert.isTrue(large.owned().every((partition) => kept.includes(partition)))
    }),
  },
  {
    says: "a member that leaves hands over at once; the epoch of who stays grows",
    run: Effect.fnUntraced(function* (name) {
      const group = `${name}-g`
      yield* filled(name, 4, 0)
      const one = yield* join(group, { topics: [name], member: "one" })
      const two = yield* join(group, { topics: [name], member: "two" })
      yield* eventually("2 and 2", () => one.owned().length === 2 && two.owned().length === 2)
      const epochs = one.assignments.map(({ epoch }) => epoch)
      assert.deepStrictEqual(
        epochs,
        epochs.toSorted((a, b) => a - b),
      )
      const before = one.epoch()
      yield* two.leave
      yield* eventually("4", () => one.owned().length === 4)
      assert.isAbove(one.epoch(), before)
      const count = two.delivered.length
      yield* (yield* Log).append({ topic: name, partition: two.owned()[0]! }, [record("late")])
      yield* eventually("the record", () => one.delivered.length > 0)
      assert.lengthOf(two.delivered, count)
    }),
  },
  {
    says: "members of several topics get their part of each",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const names = [`${name}-a`, `${name}-b`, `${name}-c`]
      yield* log.createTopics(names.map((one) => topic(one, 4)))
      const one = yield* join(`${name}-g`, { topics: names, member: "one" })
      const two = yield* join(`${name}-g`, { topics: names, member: "two" })
      yield* eventually("6 and 6", () => one.owned().length === 6 && two.owned().length === 6)
      for (const member of [one, two]) {
        const held = member.assignments.at(-1)!.partitions.map((at) => at.topic)
        for (const at of names)
          assert.lengthOf(
            held.filter((topicName) => topicName === at),
            2,
          )
      }
    }),
  },
]

const commits: ReadonlyArray<LogCase> = [
  {
    says: "commits of an epoch that is over, or of a partition not owned, are dropped, not failed",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const group = `${name}-g`
      yield* filled(name, 2, 5)
      const one = yield* join(group, { topics: [name], member: "one" })
      yield* eventually("10 records", () => one.delivered.length >= 10)
      const old = one.epoch()
      const two = yield* join(group, { topics: [name], member: "two" })
      yield* eventually("a share each", () => one.owned().length === 1 && two.owned().length === 1)
      const mine = one.owned()[0]!
      const others = two.owned()[0]!
      yield* one.consumer.commit(old, [{ topic: name, partition: mine, offset: 5 }])
      yield* one.consumer.commit(one.epoch(), [{ topic: name, partition: others, offset: 5 }])
      assert.isNull(yield* log.committed(group, { topic: name, partition: mine }))
      assert.isNull(yield* log.committed(group, { topic: name, partition: others }))
      yield* one.consumer.commit(one.epoch(), [{ topic: name, partition: mine, offset: 4 }])
      assert.strictEqual(yield* log.committed(group, { topic: name, partition: mine }), 4)
    }),
  },
  {
    says: "a commit never moves back, and groups do not see each other's",
    run: Effect.fnUntraced(function* (name) {
      const log = yield* Log
      const at = { topic: name, partition: 0 }
      yield* filled(name, 1, 10)
      const one = yield* join(`${name}-g`, { topics: [name], member: "one" })
      yield* eventually("10 records", () => one.delivered.length >= 10)
      yield* one.consumer.commit(one.epoch(), [{ ...at, offset: 7 }])
      yield* one.consumer.commit(one.epoch(), [{ ...at, offset: 3 }])
      assert.strictEqual(yield* log.committed(`${name}-g`, at), 7)
      assert.isNull(yield* log.committed(`${name}-h`, at))
      const other = yield* join(`${name}-h`, { topics: [name], member: "one" })
      yield* eventually("10 records", () => other.delivered.length >= 10)
    }),
  },
  {
    says: "a consumer of a topic that is not there fails",
    run: Effect.fnUntraced(function* (name) {
      const error = yield* Effect.flip(join(`${name}-g`, { topics: [`${name}-no`], member: "one" }))
      assert.strictEqual(error.reason, "noSuchTopic")
    }),
  },
]

export const groupCases: ReadonlyArray<LogCase> = [...delivery, ...ownership, ...commits]
