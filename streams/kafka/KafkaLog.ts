// The log on Apache Kafka: the contract of Log.ts for many machines. Below it are kafkajs's
// connections and protocol codecs, not its clients. Appends are idempotent and acknowledged by all
// in-sync replicas; an outage is waited out where the caller can wait, and told where it cannot.
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { noSuchTopic } from "../follow/RecordSource.ts"
import {
  awaited,
  type Consumer,
  type ConsumerOptions,
  Log,
  type LogError,
  type TailOptions,
  type TopicSpec,
} from "../Log.ts"
import { Producers } from "./append/Producers.ts"
import { Fetcher } from "./follow/Fetcher.ts"
import { tailKafka } from "./follow/tailKafka.ts"
import { Coordinator } from "./group/Coordinator.ts"
import { type GroupTimes, KafkaConsumer } from "./group/KafkaConsumer.ts"
import { KafkaTopics } from "./KafkaTopics.ts"
import { KafkaReader } from "./read.ts"
import { Cluster, persist, type RetryTimes } from "./wire/Cluster.ts"
import { toLogError } from "./wire/errors.ts"
import type { Address } from "./wire/Node.ts"
import { partitionKey } from "../partitionKey.ts"

export interface KafkaLogOptions {
  readonly brokers: ReadonlyArray<Address>
  readonly clientId: string
  /** Of each partition; 0: three, or as many as there are brokers. */
  readonly replicas?: number
  readonly topicSettings?: Readonly<Record<string, string>>
  readonly groupTimes?: GroupTimes
  readonly connectTimeoutMs?: number
  readonly requestTimeoutMs?: number
  readonly deliverWithinMs?: number
  readonly retry?: RetryTimes
}

/** A member that is stopped holds up a rebalance for so long, and no longer. */
const rebalanceMs = 3000
const groupTimes: GroupTimes = { heartbeatMs: 500, sessionMs: 10_000, rebalanceMs }
const connectTimeoutMs = 2000
const requestTimeoutMs = 3000
const lingerMs = 2
const retry: RetryTimes = { firstMs: 50, mostMs: 500 }

/** A leader is replaced within 10 s at Kafka's defaults; then the batch is sent again. */
const deliverWithinMs = 30_000
const committedWithinMs = 15_000

interface Parts {
  readonly cluster: Cluster
  readonly reader: KafkaReader
  readonly topics: KafkaTopics
  readonly producers: Producers
  readonly times: GroupTimes
}

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, LogError> =>
  Effect.tryPromise({ try: run, catch: toLogError })

/** Connections of its own for as long as the scope is open. */
const fetcherOf = ({ cluster, reader }: Parts): Effect.Effect<Fetcher, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Fetcher(cluster, reader)),
    (fetcher) => Effect.sync(() => fetcher.close()),
  )

const tail = Effect.fn("Log.tail")(function* (parts: Parts, options: TailOptions) {
  const fetcher = yield* fetcherOf(parts)
  yield* attempt(() => tailKafka(parts.cluster, parts.reader, fetcher, options))
})

const consume = Effect.fn("Log.consume")(function* (
  parts: Parts,
  options: ConsumerOptions,
): Effect.fn.Return<Consumer, LogError, Scope.Scope> {
  const { cluster, times } = parts
  for (const topic of options.topics) {
    const width = yield* attempt(() =>
      persist(cluster, committedWithinMs, () => cluster.width(topic)),
    )
    if (width === null) return yield* noSuchTopic(topic)
  }
  const fetcher = yield* fetcherOf(parts)
  const consumer = yield* Effect.acquireRelease(
    Effect.sync(() => new KafkaConsumer({ consumer: options, cluster, fetcher, times })),
    (member) => Effect.promise(() => member.leave()),
  )
  // The caller has the consumer in hand before its handler hears of the first assignment.
  setImmediate(() => void consumer.run())
  return {
    commit: (epoch, commits) => attempt(() => consumer.commit(epoch, commits)),
    pause: (partitions) => consumer.pause(partitions),
    resume: (partitions) => consumer.resume(partitions),
  }
})

const service = (parts: Parts): Log["Service"] => {
  const { cluster, reader, topics, producers } = parts
  return Log.of({
    createTopics: (specs) => attempt(() => topics.create(specs)),
    topics: attempt(() => topics.list()),
    appendThen: (partition, records, done) => producers.append(partition, records, done),
    append: awaited((partition, records, done) => producers.append(partition, records, done)),
    read: (partition, offset, bytesMax) => attempt(() => reader.read(partition, offset, bytesMax)),
    bounds: (partition) => attempt(() => reader.bounds(partition)),
    offsetAt: (partition, timestamp) => attempt(() => reader.offsetAt(partition, timestamp)),
    tail: (options) => tail(parts, options),
    consume: (options) => consume(parts, options),
    committed: (group, partition) =>
      attempt(async () => {
        const coordinator = new Coordinator(cluster, group)
        try {
          const found = await persist(cluster, committedWithinMs, () =>
            coordinator.committed([partition]),
          )
          return found.get(partitionKey(partition)) ?? null
        } finally {
          coordinator.close()
        }
      }),
  })
}

/** What operators ask of a cluster beyond the port: what creating topics would do. */
export class KafkaPlan extends Context.Service<
  KafkaPlan,
  {
    /** The topics that `createTopics` would make or change; fails as it would. */
    readonly missing: (
      specs: ReadonlyArray<TopicSpec>,
    ) => Effect.Effect<ReadonlyArray<TopicSpec>, LogError>
    readonly replicas: Effect.Effect<number>
  }
>()("sluice/streams/kafka/KafkaPlan") {}

const make = Effect.fnUntraced(function* (options: KafkaLogOptions) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const context = yield* Effect.context<never>()
  const notice = (message: string) => void Effect.runForkWith(context)(Effect.logWarning(message))
  const cluster = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Cluster({
          brokers: options.brokers,
          clientId: options.clientId,
          connectTimeoutMs: options.connectTimeoutMs ?? connectTimeoutMs,
          requestTimeoutMs: options.requestTimeoutMs ?? requestTimeoutMs,
          retry: options.retry ?? retry,
          now,
          notice,
        }),
    ),
    (opened) => Effect.sync(() => opened.close()),
  )
  yield* attempt(() => cluster.refresh())
  const reader = new KafkaReader(cluster)
  const topics = new KafkaTopics({
    cluster,
    replicas: options.replicas ?? 0,
    settings: options.topicSettings ?? {},
  })
  const producers = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Producers({
          cluster,
          reader,
          lingerMs,
          deliverWithinMs: options.deliverWithinMs ?? deliverWithinMs,
        }),
    ),
    (all) => Effect.promise(() => all.close(now)),
  )
  const times = options.groupTimes ?? groupTimes
  const plan = KafkaPlan.of({
    missing: (specs) => attempt(() => topics.missing(specs)),
    replicas: Effect.sync(() => topics.replicas),
  })
  const log = service({ cluster, reader, topics, producers, times })
  return Context.make(Log, log).pipe(Context.add(KafkaPlan, plan))
})

export const kafkaLog = (options: KafkaLogOptions): Layer.Layer<Log | KafkaPlan, LogError> =>
  Layer.effectContext(make(options))
