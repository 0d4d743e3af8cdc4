// The Kafka of a test file that interferes with the wire: one node behind a proxy, a way to open
// our log through it, and an outsider's view past it.
import { afterAll, beforeAll, beforeEach } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { Log, type LogError, type LogRecord, type TopicPartition } from "../../../streams/Log.ts"
import { type KafkaLogOptions, kafkaLog } from "../../../streams/kafka/KafkaLog.ts"
import { KafkaCluster } from "./KafkaCluster.ts"
import { KafkaProxy } from "./KafkaProxy.ts"
import { outsider } from "./outsider.ts"
import { addresses, unique } from "./addresses.ts"

export interface ProxiedKafka {
  readonly proxy: () => KafkaProxy
  /** Past the proxy. */
  readonly bootstrap: () => string
  /** Our log, through the proxy. */
  readonly through: (
    options?: Partial<KafkaLogOptions>,
  ) => Effect.Effect<Log["Service"], LogError, Scope.Scope>
  /** Our log, past the proxy: how it is when nobody interferes. */
  readonly beside: Effect.Effect<Log["Service"], LogError, Scope.Scope>
}

export const useProxiedKafka = (): ProxiedKafka => {
  let proxy: KafkaProxy
  let cluster: KafkaCluster
  beforeAll(async () => {
    proxy = await KafkaProxy.listen()
    const properties = { "group.min.session.timeout.ms": "1000" }
    cluster = await KafkaCluster.start({ nodes: 1, proxies: [proxy], properties })
  }, 180_000)
  beforeEach(() => proxy.calm())
  afterAll(async () => {
    proxy.close()
    await cluster.stop()
  }, 60_000)
  const open = (bootstrap: () => string, options: Partial<KafkaLogOptions> = {}) =>
    Effect.suspend(() =>
      Effect.map(
        Layer.build(kafkaLog({ brokers: addresses(bootstrap()), clientId: "test", ...options })),
        (context): Log["Service"] => Effect.runSync(Effect.provide(Log, context)),
      ),
    )
  return {
    proxy: () => proxy,
    bootstrap: () => cluster.bootstrap,
    through: (options) => open(() => `127.0.0.1:${proxy.port}`, options),
    beside: open(() => cluster.bootstrap),
  }
}

/** A topic that no other test has used. */
export const freshTopic = Effect.fnUntraced(function* (
  log: Log["Service"],
  partitions = 1,
): Effect.fn.Return<string, LogError> {
  const name = unique("wire")
  const endless = Number.MAX_SAFE_INTEGER
  yield* log.createTopics([
    { name, partitions, cleanup: "delete", retentionMs: endless, retentionBytes: endless },
  ])
  return name
})

export const recordOf = (text: string) => ({ key: null, value: Buffer.from(text) })

export const textsOf = (records: ReadonlyArray<LogRecord>): ReadonlyArray<string> =>
  records.map(({ value }) => Buffer.from(value).toString())

/** All that a partition holds, as kafkajs's own consumer sees it. */
export const storedTexts = async (
  bootstrap: string,
  { topic, partition }: TopicPartition,
): Promise<ReadonlyArray<string>> => {
  const kafka = outsider(bootstrap)
  const admin = kafka.admin()
  await admin.connect()
  const [{ high = "0", low = "0" } = {}] = (await admin.fetchTopicOffsets(topic)).filter(
    (one) => one.partition === partition,
  )
  await admin.disconnect()
  if (Number(high) === Number(low)) return []
  const consumer = kafka.consumer({ groupId: unique("reader"), maxWaitTimeInMs: 50 })
  const found: Array<string> = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async (one) => {
        if (one.partition === partition) found.push(String(one.message.value))
        if (one.partition === partition && Number(one.message.offset) >= Number(high) - 1) resolve()
      },
    })
  })
  await consumer.disconnect()
  return found
}
