// Which log a process runs on: the embedded one in a folder, or Kafka, where the configuration
// names brokers. Only the one that is used is loaded. In a folder topics are made as they are
// needed; on Kafka they are an operator's, and a process that misses one says so and stops.
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { Config, type ConfigShape } from "../config/Config.ts"
import { checkTopics } from "../../streams/checkTopics.ts"
import { Log, type LogError, type TopicSpec } from "../../streams/Log.ts"
import type { RegistryError } from "../../streams/registry/RegistryError.ts"
import { modelTopics, sharedTopics } from "../../streams/topics.ts"

export const topicsOf = (config: ConfigShape): ReadonlyArray<TopicSpec> => [
  ...sharedTopics(config.log),
  ...modelTopics(config.servedModelName, config.modelVersion, config.log),
]

const embedded = ({ data, log }: ConfigShape) =>
  Effect.promise(() => import("../../streams/embedded/EmbeddedLog.ts")).pipe(
    Effect.map(({ embeddedLog }) =>
      embeddedLog({ folder: join(data, "log"), mapBytes: log.mapBytes }),
    ),
    Layer.unwrap,
  )

const addressOf = (text: string) => {
  const colon = text.lastIndexOf(":")
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) }
}

/** The log on Kafka as it is, with Sluice's own schema ids, and what operators ask of it. */
export const kafkaStore = ({ kafka, log }: ConfigShape) =>
  Effect.promise(() => import("../../streams/kafka/KafkaLog.ts")).pipe(
    Effect.map(({ kafkaLog }) =>
      kafkaLog({
        brokers: kafka.map(addressOf),
        clientId: "sluice",
        replicas: log.replicas,
        deliverWithinMs: log.patienceMs,
        retry: { firstMs: log.brokerRetryMs, mostMs: log.brokerRetryMsMax },
      }),
    ),
    Layer.unwrap,
  )

const layerIds = ({ registry }: ConfigShape, topics: ReadonlyArray<TopicSpec>) =>
  Effect.gen(function* () {
    const { resolveIds } = yield* Effect.promise(
      () => import("../../streams/registry/resolveIds.ts"),
    )
    const { layerWithIds } = yield* Effect.promise(
      () => import("../../streams/registry/registryLog.ts"),
    )
    return layerWithIds(
      yield* resolveIds(
        registry,
        topics.map(({ name }) => name),
      ),
    )
  }).pipe(Layer.unwrap)

const onFolder = (config: ConfigShape): Layer.Layer<Log, LogError> =>
  Layer.effectDiscard(Effect.flatMap(Log, (log) => log.createTopics(topicsOf(config)))).pipe(
    Layer.provideMerge(embedded(config)),
  )

const onKafka = (config: ConfigShape): Layer.Layer<Log, LogError | RegistryError> => {
  const topics = topicsOf(config)
  const store = Layer.effectDiscard(checkTopics(topics)).pipe(
    Layer.provideMerge(kafkaStore(config)),
  )
  return config.registry === "none" ? store : layerIds(config, topics).pipe(Layer.provide(store))
}

/** The log as it is: nothing is made, no topic's retention becomes this process's. */
export const layerStoreThere: Layer.Layer<Log, LogError | RegistryError, Config> = Layer.unwrap(
  Effect.map(Config, (config) => (config.kafka.length > 0 ? onKafka(config) : embedded(config))),
)

export const layerStore: Layer.Layer<Log, LogError | RegistryError, Config> = Layer.unwrap(
  Effect.map(Config, (config) => (config.kafka.length > 0 ? onKafka(config) : onFolder(config))),
)
