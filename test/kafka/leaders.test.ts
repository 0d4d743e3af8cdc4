// Leaders and coordinators that die, as one member of a group and one tail see it: on three brokers
// without anything of Sluice above the log. What kafkajs does instead stands with each test.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { outsider } from "../support/services/outsider.ts"
import { recordOf, textsOf } from "../support/services/proxiedKafka.ts"
import { addresses, unique } from "../support/services/addresses.ts"
import { testLog } from "../support/services/testKafka.ts"
import { Log } from "../../streams/Log.ts"

let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await KafkaCluster.start({ nodes: 3 })
}, 240_000)
afterAll(() => cluster.stop(), 60_000)

const layer = testLog(() => cluster.bootstrap)

const brokerIds = () => addresses(cluster.bootstrap).map((_, index) => index + 1)

const eventually = Effect.fnUntraced(function* (isSo: () => boolean, withinMs: number) {
  for (const end = performance.now() + withinMs; !isSo(); yield* Effect.sleep(20)) {
    if (performance.now() > end) return false
  }
  return true
})

const admin = <A>(work: (of: ReturnType<ReturnType<typeof outsider>["admin"]>) => Promise<A>) =>
  Effect.promise(async () => {
    const own = outsider(cluster.bootstrap).admin()
    await own.connect()
    try {
      return await work(own)
    } finally {
      await own.disconnect()
    }
  })

/** One partition a broker, each led by that broker, copied as often as said. */
const spread = (topic: string, replicas: number) =>
  admin((own) =>
    own.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic,
          replicaAssignment: brokerIds().map((_, partition) => ({
            partition,
            replicas: Array.from({ length: replicas }, (__, i) => ((partition + i) % 3) + 1),
          })),
        },
      ],
    }),
  )

describe("a broker that is killed", () => {
  // kafkajs joins its group again on every change of a leader, and reads all partitions again from
  // what is committed; without `retry` of its own its consumer crashes at every kill.
  it.live(
    "costs a member neither its place nor a record, whichever it is",
    () =>
      Effect.gen(function* () {
        const log = yield* Log
        const topic = unique("led")
        yield* spread(topic, 3)
        const epochs: Array<number> = []
        const seen: Array<string> = []
        yield* log.consume({
          group: unique("group"),
          member: "one",
          topics: [topic],
          slots: 1,
          handler: {
            onAssigned: (epoch) => void epochs.push(epoch),
            onRecords: (_, __, records) => void seen.push(...textsOf(records)),
            onError: (error) => assert.fail(error.message),
          },
        })
        assert.isTrue(yield* eventually(() => epochs.length === 1, 10_000))
        const expected: Array<string> = []
        const appendEach = (text: string) =>
          Effect.forEach([0, 1, 2], (partition) => {
            expected.push(`${text} ${partition}`)
            return log.append({ topic, partition }, [recordOf(`${text} ${partition}`)])
          })
        yield* appendEach("before")
        // One of them leads each partition, and one keeps the group.
        for (const id of cluster.ids) {
          yield* Effect.promise(() => cluster.kill(id))
          yield* appendEach(`without ${id}`)
          assert.isTrue(yield* eventually(() => seen.length === expected.length, 20_000))
          yield* Effect.promise(() => cluster.restart(id))
          yield* Effect.sleep(2000)
        }
        assert.deepStrictEqual(seen.toSorted(), expected.toSorted())
        assert.deepStrictEqual(epochs, [1])
      }).pipe(Effect.scoped, Effect.provide(layer)),
    120_000,
  )

  // To kafkajs the first error of an answer is the answer: one partition without a leader hides all
  // the others of its topic.
  it.live(
    "and is alone in holding a partition hides that one only",
    () =>
      Effect.gen(function* () {
        const log = yield* Log
        const topic = unique("single")
        yield* spread(topic, 1)
        const seen: Array<string> = []
        yield* log.tail({
          topic,
          from: "end",
          onRecords: (_, records) => void seen.push(...textsOf(records)),
          onError: (error) => assert.fail(error.message),
        })
        yield* Effect.promise(() => cluster.kill(2))
        for (const partition of [0, 2]) {
          yield* log.append({ topic, partition }, [recordOf(`${partition}`)])
          assert.lengthOf(yield* log.read({ topic, partition }, 0, 1000), 1)
        }
        assert.isTrue(yield* eventually(() => seen.length === 2, 10_000))
        yield* Effect.promise(() => cluster.restart(2))
        yield* log.append({ topic, partition: 1 }, [recordOf("1")])
        assert.isTrue(yield* eventually(() => seen.length === 3, 20_000))
      }).pipe(Effect.scoped, Effect.provide(layer)),
    120_000,
  )
})
