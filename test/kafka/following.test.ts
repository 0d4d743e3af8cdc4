// What a reader and a member of a group must withstand, one at a time, at a real Kafka behind a
// proxy. Each test names what goes wrong without the measure that it is about; the measures are in
// streams/kafka/{follow,group,wire} and read.ts.
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type Asked, apis } from "../support/services/KafkaProxy.ts"
import { outsider } from "../support/services/outsider.ts"
import { freshTopic, recordOf, textsOf, useProxiedKafka } from "../support/services/proxiedKafka.ts"
import { unique } from "../support/services/addresses.ts"
import type { Consumer, Log, LogError, TopicPartition } from "../../streams/Log.ts"

const { proxy, bootstrap, through, beside } = useProxiedKafka()

const groupTimes = { heartbeatMs: 200, sessionMs: 2000, rebalanceMs: 2000 }

const live = (says: string, run: () => Effect.Effect<void, unknown, never>) =>
  it.live(says, run, 40_000)

const eventually = Effect.fnUntraced(function* (isSo: () => boolean, withinMs = 10_000) {
  for (const end = performance.now() + withinMs; !isSo(); yield* Effect.sleep(10)) {
    if (performance.now() > end) return false
  }
  return true
})

const appendAll = (log: Log["Service"], at: TopicPartition, texts: ReadonlyArray<string>) =>
  Effect.forEach(texts, (text) => log.append(at, [recordOf(text)]))

interface Member {
  readonly consumer: Consumer
  readonly epochs: Array<number>
  readonly owned: () => ReadonlyArray<number>
  readonly seen: Array<string>
  readonly epoch: () => number
}

const join = Effect.fnUntraced(function* (
  log: Log["Service"],
  group: string,
  topic: string,
): Effect.fn.Return<Member, LogError, Scope.Scope> {
  const epochs: Array<number> = []
  const seen: Array<string> = []
  let owned: ReadonlyArray<number> = []
  const consumer = yield* log.consume({
    group,
    member: unique("member"),
    topics: [topic],
    slots: 1,
    handler: {
      onAssigned: (epoch, partitions) => {
        epochs.push(epoch)
        owned = partitions.map(({ partition }) => partition)
      },
      onRecords: (_, at, records) => {
        seen.push(...textsOf(records).map((text) => `${at.partition}:${text}`))
      },
      onError: (error) => assert.fail(error.message),
    },
  })
  const epoch = () => epochs.at(-1) ?? 0
  return { consumer, epochs, owned: () => owned, seen, epoch }
})

describe("a range read", () => {
  // Kafka answers with the whole batch that holds the offset: asked for 7, it gives 0 to 9.
  live("begins at its offset, in the midst of a batch", () =>
    Effect.gen(function* () {
      const log = yield* through()
      const at = { topic: yield* freshTopic(log), partition: 0 }
      const texts = Array.from({ length: 10 }, (_, index) => `${index}`)
      yield* log.append(at, texts.map(recordOf))
      assert.deepStrictEqual(textsOf(yield* log.read(at, 7, 1000)), ["7", "8", "9"])
    }).pipe(Effect.scoped),
  )

  // A batch without a record of ours (here a transaction's end; elsewhere one that compaction has
  // emptied) says nothing to who goes by records: the offset stays, and it is read for ever.
  live("passes batches without records, and so does a tail", () =>
    Effect.gen(function* () {
      const log = yield* through()
      const at = { topic: yield* freshTopic(log), partition: 0 }
      yield* Effect.promise(async () => {
        const producer = outsider(bootstrap()).producer({
          transactionalId: unique("transaction"),
          maxInFlightRequests: 1,
          idempotent: true,
        })
        await producer.connect()
        for (const text of ["zero", "two"]) {
          const transaction = await producer.transaction()
          await transaction.send({ topic: at.topic, messages: [{ value: text, partition: 0 }] })
          await transaction.commit()
        }
        await producer.disconnect()
      })
      const seen: Array<string> = []
      yield* log.tail({
        topic: at.topic,
        from: new Map([[0, 1]]),
        onRecords: (_, records) => void seen.push(...textsOf(records)),
        onError: (error) => assert.fail(error.message),
      })
      assert.isTrue(yield* eventually(() => seen.length === 1))
      let fetches = 0
      proxy().onRequest = ({ apiKey }) => {
        if (apiKey === apis.fetch) fetches++
        return "pass"
      }
      yield* Effect.sleep(1000)
      assert.isBelow(fetches, 5)
      yield* log.append(at, [recordOf("four")])
      assert.isTrue(yield* eventually(() => seen.length === 2))
      assert.deepStrictEqual(seen, ["two", "four"])
      // So few bytes that each answer is one batch.
      assert.deepStrictEqual(textsOf(yield* log.read(at, 3, 1)), ["four"])
    }).pipe(Effect.scoped),
  )
})

describe("paused partitions", () => {
  // kafkajs fetches again from a broker only when all batches of the last fetch are done with, and
  // with all partitions paused sleeps through a resume for as long as a fetch may wait.
  live("hold up no others, and are read as soon as they are resumed", () =>
    Effect.gen(function* () {
      const log = yield* through({ groupTimes })
      const topic = yield* freshTopic(log, 2)
      const [zero, one] = [0, 1].map((partition) => ({ topic, partition }))
      const { consumer, seen, owned } = yield* join(log, unique("group"), topic)
      assert.isTrue(yield* eventually(() => owned().length === 2))
      const delays: Array<number> = []
      for (let round = 1; round <= 6; round++) {
        consumer.pause([zero!])
        yield* appendAll(log, zero!, [`held${round}`])
        yield* appendAll(log, one!, [`b${round}`])
        assert.isTrue(yield* eventually(() => seen.includes(`1:b${round}`), 1000))
        // By now a poll waits for one partition only.
        yield* Effect.sleep(round * 40)
        yield* appendAll(log, zero!, [`new${round}`])
        assert.notInclude(seen, `0:held${round}`)
        const began = performance.now()
        consumer.resume([zero!])
        assert.isTrue(yield* eventually(() => seen.includes(`0:new${round}`)))
        delays.push(performance.now() - began)
      }
      assert.isBelow(delays.toSorted((a, b) => a - b)[2]!, 300)
      consumer.pause([zero!, one!])
      yield* appendAll(log, one!, ["c"])
      yield* Effect.sleep(1500)
      assert.notInclude(seen, "1:c")
      consumer.resume([zero!, one!])
      assert.isTrue(yield* eventually(() => seen.includes("1:c"), 500))
    }).pipe(Effect.scoped),
  )

  // kafkajs beats between messages and on empty fetches only: who waits for long is thrown out.
  live("cost no member its place, however long they are paused", () =>
    Effect.gen(function* () {
      const log = yield* through({ groupTimes })
      const topic = yield* freshTopic(log, 2)
      const group = unique("group")
      const { consumer, epochs, owned } = yield* join(log, group, topic)
      assert.isTrue(yield* eventually(() => owned().length === 2))
      consumer.pause([0, 1].map((partition) => ({ topic, partition })))
      yield* Effect.sleep(groupTimes.sessionMs * 2)
      assert.deepStrictEqual(epochs, [1])
      yield* consumer.commit(1, [{ topic, partition: 0, offset: 0 }])
      assert.strictEqual(yield* log.committed(group, { topic, partition: 0 }), 0)
    }).pipe(Effect.scoped),
  )
})

describe("an offset that is not there any more", () => {
  // kafkajs commits another offset in silence, also where it was told not to commit: what a worker
  // has in flight would be taken for done.
  live("is passed, and nothing is committed", () =>
    Effect.gen(function* () {
      const log = yield* through({ groupTimes })
      const topic = yield* freshTopic(log)
      const at = { topic, partition: 0 }
      const group = unique("group")
      yield* appendAll(log, at, ["0", "1", "2", "3"])
      yield* Effect.gen(function* () {
        const first = yield* join(log, group, topic)
        assert.isTrue(yield* eventually(() => first.seen.length === 4))
        yield* first.consumer.commit(first.epoch(), [{ ...at, offset: 1 }])
      }).pipe(Effect.scoped)
      yield* Effect.promise(async () => {
        const admin = outsider(bootstrap()).admin()
        await admin.connect()
        // Which loads what kafkajs wants to know first.
        await admin.fetchTopicOffsets(topic)
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "3" }] })
        await admin.disconnect()
      })
      const second = yield* join(log, group, topic)
      assert.isTrue(yield* eventually(() => second.seen.length === 1))
      assert.deepStrictEqual(second.seen, ["0:3"])
      assert.strictEqual(yield* log.committed(group, at), 1)
    }).pipe(Effect.scoped),
  )
})

describe("a member that is late", () => {
  const isGroup = ({ apiKey }: Asked) => apiKey === apis.heartbeat || apiKey === apis.joinGroup

  // It cannot know yet that its partition is another's. kafkajs sends its commit under whatever
  // generation it has by then, and Kafka believes it: the new owner's work would be done again, or
  // what nobody has done would be taken for done.
  live("commits nothing for a partition that is another's by now", () =>
    Effect.gen(function* () {
      const log = yield* through({ groupTimes })
      const other = yield* beside
      const topic = yield* freshTopic(log)
      const at = { topic, partition: 0 }
      const group = unique("group")
      yield* appendAll(log, at, ["0", "1", "2", "3"])
      const late = yield* join(log, group, topic)
      assert.isTrue(yield* eventually(() => late.seen.length === 4))
      // Its heartbeats are lost until its session is over.
      proxy().onRequest = (asked) => (isGroup(asked) ? "cut" : "pass")
      const heir = yield* join(other, group, topic)
      assert.isTrue(yield* eventually(() => heir.seen.length === 4, 15_000))
      yield* heir.consumer.commit(heir.epoch(), [{ ...at, offset: 2 }])
      yield* late.consumer.commit(late.epoch(), [{ ...at, offset: 4 }])
      assert.strictEqual(yield* log.committed(group, at), 2)
      // It joins again, under a new epoch; what it was given in the old one still does not count.
      const old = late.epoch()
      proxy().calm()
      assert.isTrue(yield* eventually(() => late.epoch() > old, 15_000))
      yield* late.consumer.commit(old, [{ ...at, offset: 3 }])
      assert.strictEqual(yield* log.committed(group, at), 2)
    }).pipe(Effect.scoped),
  )
})

describe("many tails and readers", () => {
  // A consumer a client is a group, a join and a set of connections a client.
  live("share their connections", () =>
    Effect.gen(function* () {
      const log = yield* through()
      const topic = yield* freshTopic(log, 4)
      const seen: Array<string> = []
      yield* log.tail({
        topic,
        from: "end",
        onRecords: (_, records) => void seen.push(...textsOf(records)),
        onError: () => {},
      })
      yield* appendAll(log, { topic, partition: 0 }, ["a"])
      yield* log.read({ topic, partition: 0 }, 0, 1000)
      const before = proxy().connections
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, index) => index % 4),
        (partition) => log.read({ topic, partition }, 0, 1000),
        { concurrency: "unbounded" },
      )
      assert.strictEqual(proxy().connections, before)
      assert.isTrue(yield* eventually(() => seen.length === 1))
    }).pipe(Effect.scoped),
  )
})
