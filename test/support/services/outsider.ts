// Kafka as others see it: kafkajs's own clients, unmodified. What tests learn of a cluster through
// it does not depend on our adapter.
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import kafkajs, { type Kafka, type KafkaConfig } from "kafkajs"

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, logLevel } = kafkajs

process.env["KAFKAJS_NO_PARTITIONER_WARNING"] = "1"

// kafkajs brings no zstd; Node does.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async ({ buffer }: { buffer: Buffer }) => zstdCompressSync(buffer),
  decompress: async (buffer: Buffer) => zstdDecompressSync(buffer),
})

export const outsider = (bootstrap: string, options: Partial<KafkaConfig> = {}): Kafka =>
  new kafkajs.Kafka({ brokers: bootstrap.split(","), logLevel: logLevel.NOTHING, ...options })

const shown = ["cleanup.policy", "retention.ms", "min.insync.replicas"]

type Described = Readonly<Record<string, string | number>>

/** Every topic that is not Kafka's own: how wide, how many copies, and some of its settings. */
export const describeTopics = async (
  bootstrap: string,
): Promise<ReadonlyMap<string, Described>> => {
  const admin = outsider(bootstrap).admin()
  await admin.connect()
  try {
    const { topics } = await admin.fetchTopicMetadata()
    const ours = topics.filter(({ name }) => !name.startsWith("__"))
    if (ours.length === 0) return new Map()
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: ours.map(({ name }) => ({
        type: ConfigResourceTypes.TOPIC,
        name,
        configNames: shown,
      })),
    })
    const settings = new Map(
      resources.map(({ resourceName, configEntries }) => [
        resourceName,
        Object.fromEntries(configEntries.map((one) => [one.configName, one.configValue])),
      ]),
    )
    return new Map(
      ours.map(({ name, partitions }) => [
        name,
        {
          ...settings.get(name),
          partitions: partitions.length,
          replicas: partitions[0]?.replicas.length ?? 0,
        },
      ]),
    )
  } finally {
    await admin.disconnect()
  }
}

/** The broker that leads a partition now. */
export const leaderOf = async (
  bootstrap: string,
  topic: string,
  partition: number,
): Promise<number> => {
  const admin = outsider(bootstrap).admin()
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.disconnect()
  const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)
  if (found === undefined) throw new Error(`${topic} has no partition ${partition}`)
  return found.leader
}

const groupTopic = "__consumer_offsets"

/** The broker that keeps a group: the leader of the partition that Java's hash gives it. */
export const coordinatorOf = async (bootstrap: string, group: string): Promise<number> => {
  const admin = outsider(bootstrap).admin()
  await admin.connect()
  const { topics } = await admin.fetchTopicMetadata({ topics: [groupTopic] })
  await admin.disconnect()
  let hash = 0
  for (const char of group) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0
  const width = topics[0]?.partitions.length ?? 1
  return leaderOf(bootstrap, groupTopic, (hash & 0x7fffffff) % width)
}

/** How many records a topic has taken, whether or not they are kept. */
export const countRecords = async (bootstrap: string, topic: string): Promise<number> => {
  const admin = outsider(bootstrap).admin()
  await admin.connect()
  const offsets = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  return offsets.reduce((sum, { high }) => sum + Number(high), 0)
}
