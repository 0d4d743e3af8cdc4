// The topics of a cluster: what is there, and making what is missing. Idempotent; a topic that is
// narrower than asked is refused before anything is made.
import { setTimeout as sleep } from "node:timers/promises"
import { LogError, type TopicSpec } from "../Log.ts"
import { LogFailure } from "../LogFailure.ts"
import { topicToWrite } from "../topicToWrite.ts"
import { configOf, keptBy, readNames, specOf } from "./topicConfig.ts"
import { type Cluster, persist, type Wire } from "./wire/Cluster.ts"
import { BrokerError, codes, orThrow } from "./wire/errors.ts"
import type { ConfigEntry } from "./wire/requests.ts"

export interface KafkaTopicsOptions {
  readonly cluster: Cluster
  /** 0: three, or as many as there are brokers. */
  readonly replicas: number
  /** Settings of Kafka's own that every topic gets besides ours. */
  readonly settings: Readonly<Record<string, string>>
}

const topicResource = 2
const brokerTimeoutMs = 30_000
const makeWithinMs = 30_000

/** How long what was listed is taken for current: readiness and look-ups ask often. */
const listedMs = 1000

export class KafkaTopics {
  readonly #options: KafkaTopicsOptions
  readonly #wire: Wire
  #listed: ReadonlyArray<TopicSpec> = []
  #listedAt = Number.NEGATIVE_INFINITY

  constructor(options: KafkaTopicsOptions) {
    this.#options = options
    this.#wire = options.cluster.newWire()
  }

  async list(): Promise<ReadonlyArray<TopicSpec>> {
    const { cluster } = this.#options
    if (cluster.now() < this.#listedAt + listedMs) return this.#listed
    this.#listed = await persist(cluster, makeWithinMs, () => this.#list())
    this.#listedAt = cluster.now()
    return this.#listed
  }

  /** What `create` would write; fails as it would. */
  async missing(specs: ReadonlyArray<TopicSpec>): Promise<ReadonlyArray<TopicSpec>> {
    this.#listedAt = Number.NEGATIVE_INFINITY
    const there = new Map((await this.list()).map((spec) => [spec.name, spec]))
    return specs.flatMap((asked) => {
      const spec = topicToWrite(there.get(asked.name) ?? null, keptBy(asked))
      if (spec instanceof LogFailure) throw new LogError(spec)
      return spec === null ? [] : [spec]
    })
  }

  async create(specs: ReadonlyArray<TopicSpec>): Promise<void> {
    const there = new Set((await this.list()).map(({ name }) => name))
    const written = await this.missing(specs)
    const made = written.filter(({ name }) => !there.has(name))
    const changed = written.filter(({ name }) => there.has(name))
    const { cluster } = this.#options
    if (made.length > 0) await persist(cluster, makeWithinMs, () => this.#make(made))
    if (changed.length > 0) await persist(cluster, makeWithinMs, () => this.#change(changed))
    for (const { name } of made) await this.#untilLed(name)
    this.#listedAt = Number.NEGATIVE_INFINITY
  }

  /** Copies of each partition. */
  get replicas(): number {
    const brokers = Math.max(1, this.#options.cluster.nodeIds().length)
    return this.#options.replicas === 0 ? Math.min(3, brokers) : this.#options.replicas
  }

  async #list(): Promise<ReadonlyArray<TopicSpec>> {
    const { cluster } = this.#options
    if (cluster.nodeIds().length === 0) await cluster.refresh()
    const { topicMetadata } = await cluster.everything()
    const ours = topicMetadata.filter(
      ({ topicErrorCode, isInternal }) => topicErrorCode === codes.none && !isInternal,
    )
    if (ours.length === 0) return []
    const resources = ours.map(({ topic }) => ({
      type: topicResource,
      name: topic,
      configNames: readNames,
    }))
    const described = await this.#wire.any("DescribeConfigs", { resources })
    const values = new Map(
      described.resources.map(({ resourceName, configEntries }) => [
        resourceName,
        new Map(configEntries.map((entry) => [entry.configName, entry.configValue ?? ""])),
      ]),
    )
    return ours.map(({ topic, partitionMetadata }) =>
      specOf(topic, partitionMetadata.length, values.get(topic) ?? new Map()),
    )
  }

  #config(spec: TopicSpec): ReadonlyArray<ConfigEntry> {
    const all = new Map(configOf(spec, this.replicas).map(({ name, value }) => [name, value]))
    for (const [name, value] of Object.entries(this.#options.settings)) all.set(name, value)
    return [...all].map(([name, value]) => ({ name, value }))
  }

  async #make(specs: ReadonlyArray<TopicSpec>): Promise<void> {
    const topics = specs.map((spec) => ({
      topic: spec.name,
      numPartitions: spec.partitions,
      replicationFactor: this.replicas,
      configEntries: this.#config(spec),
    }))
    const asked = { topics, timeout: brokerTimeoutMs, validateOnly: false }
    const { topicErrors } = await this.#wire.any("CreateTopics", asked)
    for (const { topic, errorCode, errorMessage } of topicErrors) {
      if (errorCode === codes.none || errorCode === codes.topicAlreadyExists) continue
      throw new BrokerError(errorCode, `topic ${topic}: ${errorMessage ?? `error ${errorCode}`}`)
    }
  }

  async #change(specs: ReadonlyArray<TopicSpec>): Promise<void> {
    const resources = specs.map((spec) => ({
      type: topicResource,
      name: spec.name,
      configEntries: this.#config(spec),
    }))
    const answer = await this.#wire.any("AlterConfigs", { resources })
    for (const { errorCode, resourceName, errorMessage } of answer.resources) {
      orThrow(errorCode, `topic ${resourceName}: ${errorMessage ?? ""}`)
    }
  }

  /** Brokers hear of a new topic one after another; its partitions need leaders first. */
  async #untilLed(topic: string): Promise<void> {
    const { cluster } = this.#options
    const deadline = cluster.now() + makeWithinMs
    while (cluster.now() < deadline) {
      const width = (await cluster.width(topic).catch(() => null)) ?? 0
      const partitions = Array.from({ length: width }, (_, partition) => ({ topic, partition }))
      if (width > 0 && partitions.every((at) => cluster.leaderOf(at) !== null)) return
      await sleep(50)
      await cluster.refresh().catch(() => undefined)
    }
    throw new BrokerError(null, `topic ${topic} has no leaders yet`)
  }
}
