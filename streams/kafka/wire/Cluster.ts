// What this process knows of a Kafka cluster: its brokers, and the leader of each partition it has
// asked for. Knowledge is renewed when somebody finds it wrong, by one request for all who ask at
// the same time, and never from a broker that just failed while there are others.
import { setTimeout as sleep } from "node:timers/promises"
import type { TopicPartition } from "../../Log.ts"
import { BrokerError, codes, messageOf } from "./errors.ts"
import type { ApiName, Args, Data, Metadata } from "./requests.ts"
import { type Address, Node, type NodeOptions, type SharedVersions } from "./Node.ts"

export interface RetryTimes {
  readonly firstMs: number
  readonly mostMs: number
}

export interface ClusterOptions extends Omit<NodeOptions, "onHung"> {
  readonly brokers: ReadonlyArray<Address>
  readonly now: () => number
  /** What failed in passing is tried again after so long, then twice as long, up to the most. */
  readonly retry: RetryTimes
  /** Says to whoever runs this that the cluster is away, or back. Never for each retry. */
  readonly notice: (message: string) => void
}

/** Two looks are at least so far apart, however many find that theirs is old. */
const refreshEveryMs = 50

/** A hung broker is left alone for so long: a new leader is found as soon as there is one. */
const hungMs = 1000

/** Connections of one purpose: a broker each, so that who waits long holds up nobody else. */
export class Wire {
  readonly #cluster: Cluster
  readonly #nodes = new Map<string, Node>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  node(id: number): Node {
    const address = this.#cluster.addressOf(id)
    const key = keyOf(address)
    const node = this.#nodes.get(key) ?? this.#cluster.newNode(address)
    this.#nodes.set(key, node)
    return node
  }

  /** Whichever answers. */
  async any<Name extends ApiName>(name: Name, args: Args<Name>): Promise<Data<Name>> {
    let failure: unknown = new BrokerError(null, "there are no brokers")
    for (const id of this.#cluster.nodeIds()) {
      try {
        return await this.node(id).call(name, args)
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        failure = error
      }
    }
    throw failure
  }

  close(): void {
    for (const node of this.#nodes.values()) node.close()
  }
}

export class Cluster {
  readonly #options: ClusterOptions
  readonly #versions: SharedVersions = { known: null }
  /** Asked in this order; who fails goes to the end. */
  #asked: Array<Node>
  #addresses = new Map<number, Address>()
  /** By topic, then partition: the leader's id, -1 where there is none. null: no such topic. */
  readonly #leaders = new Map<string, ReadonlyArray<number> | null>()
  readonly #topics = new Set<string>()
  readonly #wires = new Set<Wire>()
  /** By host:port: until when it is left alone. */
  readonly #hung = new Map<string, number>()
  #refreshing: Promise<void> | null = null
  #refreshedAt = 0
  #away = false
  #closed = false

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#asked = options.brokers.map((address) => this.newNode(address))
  }

  get now(): () => number {
    return this.#options.now
  }

  get retry(): RetryTimes {
    return this.#options.retry
  }

  newNode(address: Address): Node {
    const onHung = () => void this.#hung.set(keyOf(address), this.now() + hungMs)
    return new Node(address, { ...this.#options, onHung }, this.#versions)
  }

  newWire(): Wire {
    const wire = new Wire(this)
    this.#wires.add(wire)
    return wire
  }

  closeWire(wire: Wire): void {
    this.#wires.delete(wire)
    wire.close()
  }

  close(): void {
    this.#closed = true
    for (const wire of this.#wires) wire.close()
    for (const node of this.#asked) node.close()
  }

  nodeIds(): ReadonlyArray<number> {
    return [...this.#addresses.keys()]
  }

  addressOf(id: number): Address {
    const address = this.#addresses.get(id)
    if (address === undefined) throw new BrokerError(null, `there is no broker ${id} now`)
    return address
  }

  /** The width of a topic; null where there is none. */
  async width(topic: string): Promise<number | null> {
    this.#topics.add(topic)
    if ((this.#leaders.get(topic) ?? null) === null) {
      this.#leaders.delete(topic)
      await this.refresh()
      // The look that was under way may have begun before this topic was wanted.
      if (!this.#leaders.has(topic)) await this.refresh()
    }
    return this.#leaders.get(topic)?.length ?? null
  }

  /** The leader as it is known; null: none is known that answers. Then `refresh` may help. */
  leaderOf({ topic, partition }: TopicPartition): number | null {
    const leader = this.#leaders.get(topic)?.[partition] ?? -1
    const address = this.#addresses.get(leader)
    if (address === undefined) return null
    return (this.#hung.get(keyOf(address)) ?? 0) > this.now() ? null : leader
  }

  /** "none": there is no such partition, and a look a moment ago has shown it. */
  async findLeader(partition: TopicPartition): Promise<number | "none"> {
    const known = this.leaderOf(partition)
    if (known !== null) return known
    const width = await this.width(partition.topic)
    if (width === null || partition.partition >= width || partition.partition < 0) return "none"
    await this.refresh()
    const leader = this.leaderOf(partition)
    if (leader === null) {
      const { topic } = partition
      throw new BrokerError(null, `partition ${partition.partition} of ${topic} has no leader now`)
    }
    return leader
  }

  /** Looks again at all that is known. Fails only where no broker answers. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null))
    return this.#refreshing
  }

  async everything(): Promise<Metadata> {
    return this.#ask([])
  }

  async #refresh(): Promise<void> {
    const waitMs = this.#refreshedAt + refreshEveryMs - this.now()
    if (waitMs > 0) await sleep(Math.min(waitMs, refreshEveryMs))
    const metadata = await this.#ask([...this.#topics])
    this.#refreshedAt = this.now()
    this.#addresses = new Map(
      metadata.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]),
    )
    for (const { topic, topicErrorCode, partitionMetadata } of metadata.topicMetadata) {
      if (!this.#topics.has(topic)) continue
      if (topicErrorCode === codes.none) this.#leaders.set(topic, leadersOf(partitionMetadata))
      else if (topicErrorCode === codes.unknownTopicOrPartition) this.#leaders.set(topic, null)
    }
  }

  /** kafkajs writes no topics as all topics. */
  async #ask(topics: ReadonlyArray<string>): Promise<Metadata> {
    let failure: unknown
    for (const node of this.#askable()) {
      if (this.#closed) throw new BrokerError(null, "the log is closed")
      try {
        const answer = await node.call("Metadata", { topics, allowAutoTopicCreation: false })
        this.#prefer(node, answer)
        return answer
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        failure = error
      }
    }
    if (!this.#away) this.#options.notice(`no Kafka broker answers: ${messageOf(failure)}`)
    this.#away = true
    throw failure
  }

  /** Those that were reached last, then all that are known, then those that were configured. */
  #askable(): ReadonlyArray<Node> {
    const known = [...this.#addresses.values(), ...this.#options.brokers]
    const held = new Set(this.#asked.map(({ address }) => keyOf(address)))
    for (const address of known) {
      const key = keyOf(address)
      if (held.has(key)) continue
      held.add(key)
      this.#asked.push(this.newNode(address))
    }
    return [...this.#asked]
  }

  /** Who failed before it was reached goes behind it; who is gone goes. */
  #prefer(node: Node, { brokers }: Metadata): void {
    if (this.#away) this.#options.notice("Kafka answers again")
    this.#away = false
    const index = this.#asked.indexOf(node)
    if (index > 0) this.#asked.push(...this.#asked.splice(0, index))
    const there = new Set([...brokers, ...this.#options.brokers].map(keyOf))
    this.#asked = this.#asked.filter(({ address }) => there.has(keyOf(address)))
  }
}

const keyOf = ({ host, port }: Address): string => `${host}:${port}`

const leadersOf = (
  partitions: Metadata["topicMetadata"][number]["partitionMetadata"],
): ReadonlyArray<number> => {
  const leaders = Array.from({ length: partitions.length }, () => -1)
  for (const { partitionId, leader } of partitions) leaders[partitionId] = leader
  return leaders
}

/** Runs it until it succeeds, fails for good, or its time is over; looks again in between. */
export const persist = async <A>(
  cluster: Cluster,
  withinMs: number,
  attempt: () => Promise<A>,
): Promise<A> => {
  const deadline = cluster.now() + withinMs
  const { firstMs, mostMs } = cluster.retry
  for (let waitMs = firstMs; ; waitMs = Math.min(mostMs, waitMs * 2)) {
    try {
      return await attempt()
    } catch (error) {
      const again = error instanceof BrokerError && error.passing
      if (!again || cluster.now() + waitMs > deadline) throw error
      await sleep(waitMs)
      await cluster.refresh().catch(() => undefined)
    }
  }
}
