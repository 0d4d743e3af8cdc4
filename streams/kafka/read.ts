// Range reads and questions about offsets, without a group and without a consumer: replay, adoption
// and resume. Each asks the partition's leader, and asks again while leaders change.
import { belowFirst, noSuchPartition, noSuchTopic } from "../follow/RecordSource.ts"
import type { Bounds, LogError, LogRecord, TopicPartition } from "../Log.ts"
import { partitionKey } from "../partitionKey.ts"
import { type Cluster, persist, type Wire } from "./wire/Cluster.ts"
import { BrokerError, codes, orThrow } from "./wire/errors.ts"
import { type Fetched, fetchFrom } from "./wire/fetch.ts"
import type { Node } from "./wire/Node.ts"

const earliest = -2
const latest = -1
const readUncommitted = 0

const readBackBytes = 1024 * 1024

/** Leaders change within seconds; a cluster that is away for longer is unavailable. */
const readWithinMs = 15_000

export class KafkaReader {
  readonly #cluster: Cluster
  readonly #wire: Wire

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#wire = cluster.newWire()
  }

  async bounds(partition: TopicPartition): Promise<Bounds> {
    const [first, next] = await Promise.all([
      this.#offset(partition, earliest),
      this.#offset(partition, latest),
    ])
    return { first, next }
  }

  async offsetAt(partition: TopicPartition, timestamp: number): Promise<number> {
    const found = await this.#offset(partition, Math.max(0, Math.floor(timestamp)))
    return found >= 0 ? found : this.#offset(partition, latest)
  }

  /** Kafka gives whole batches, also what is before `offset` in the first: that is left out. */
  async read(
    partition: TopicPartition,
    offset: number,
    bytesMax: number,
  ): Promise<ReadonlyArray<LogRecord>> {
    let from = offset
    while (true) {
      const { code, batches } = await this.#fetch(partition, from, bytesMax)
      if (code === codes.offsetOutOfRange) return this.#beyond(partition, offset)
      orThrow(code, partitionKey(partition))
      const records = batches
        .flatMap((batch) => batch.records)
        .filter((one) => one.offset >= offset)
      if (records.length > 0) return within(records, bytesMax)
      // Batches that compaction has emptied are passed, or they would be read for ever.
      const last = batches.at(-1)
      if (last === undefined || last.nextOffset <= from) return []
      from = last.nextOffset
    }
  }

  /** Where a producer's batch begins in what is there from `offset` on; null: it is not there. */
  async findBatch(
    partition: TopicPartition,
    offset: number,
    batch: { readonly producerId: number; readonly baseSequence: number },
  ): Promise<number | null> {
    const { first, next } = await this.bounds(partition)
    for (let from = Math.max(first, offset); from < next;) {
      const { batches } = await this.#fetch(partition, from, readBackBytes)
      const found = batches.find(
        ({ producerId, baseSequence }) =>
          producerId === batch.producerId && baseSequence === batch.baseSequence,
      )
      if (found !== undefined) return found.baseOffset
      const last = batches.at(-1)
      if (last === undefined || last.nextOffset <= from) return null
      from = last.nextOffset
    }
    return null
  }

  /** The partition's leader, or the error that there is none such. */
  async leader(partition: TopicPartition): Promise<number> {
    const leader = await this.#cluster.findLeader(partition)
    if (leader !== "none") return leader
    throw await missing(this.#cluster, partition)
  }

  async #beyond(partition: TopicPartition, offset: number): Promise<ReadonlyArray<LogRecord>> {
    const { first } = await this.bounds(partition)
    if (offset < first) throw belowFirst(partition, offset, first)
    return []
  }

  #atLeader<A>(partition: TopicPartition, ask: (node: Node) => Promise<A>): Promise<A> {
    return persist(this.#cluster, readWithinMs, async () =>
      ask(this.#wire.node(await this.leader(partition))),
    )
  }

  #fetch(partition: TopicPartition, offset: number, bytesMax: number): Promise<Fetched> {
    return this.#atLeader(partition, async (node) => {
      const options = { waitMs: 0, bytesMax }
      const answer = await fetchFrom(node, [{ partition, offset, bytesMax }], options)
      const fetched = answer.get(partitionKey(partition))
      if (fetched === undefined) throw new BrokerError(null, "the broker left a partition out")
      if (fetched.code !== codes.offsetOutOfRange) orThrow(fetched.code, partitionKey(partition))
      return fetched
    })
  }

  #offset(partition: TopicPartition, timestamp: number): Promise<number> {
    return this.#atLeader(partition, async (node) => {
      const partitions = [{ partition: partition.partition, timestamp: `${timestamp}` }]
      const topics = [{ topic: partition.topic, partitions }]
      const answer = await node.call("ListOffsets", { isolationLevel: readUncommitted, topics })
      const one = answer.responses[0]?.partitions[0]
      if (one === undefined) throw new BrokerError(null, "the broker left a partition out")
      orThrow(one.errorCode, partitionKey(partition))
      return Number(one.offset)
    })
  }
}

const missing = async (cluster: Cluster, partition: TopicPartition): Promise<LogError> =>
  (await cluster.width(partition.topic)) === null
    ? noSuchTopic(partition.topic)
    : noSuchPartition(partition)

/** At most so many bytes, one record at least. */
const within = (records: ReadonlyArray<LogRecord>, bytesMax: number): ReadonlyArray<LogRecord> => {
  let bytes = 0
  const past = records.findIndex(({ key, value }, index) => {
    bytes += value.length + (key?.length ?? 0)
    return index > 0 && bytes > bytesMax
  })
  return past < 0 ? records : records.slice(0, past)
}
