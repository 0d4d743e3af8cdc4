// One idempotent producer: its own connections and producer id, and never more than one send on its
// way, of one partition. So a send that is repeated is the same send, with the same sequence, and
// Kafka drops what it has already. Where that cannot be known (its time is over, or Kafka has
// forgotten the producer), the producer id is thrown away and the log is read: what is there was
// appended, what is not has an unknown outcome.
import { setTimeout as sleep } from "node:timers/promises"
import { LogError, type OnAppended, type TopicPartition } from "../../Log.ts"
import { partitionKey } from "../../partitionKey.ts"
import { type KafkaReader } from "../read.ts"
import { type Cluster, type Wire } from "../wire/Cluster.ts"
import { BrokerError, codes, orThrow, toLogError } from "../wire/errors.ts"
import { compression } from "../wire/kafkajs.ts"
import type { Message } from "../wire/requests.ts"

export interface PendingAppend {
  readonly partition: TopicPartition
  readonly messages: ReadonlyArray<Message>
  readonly bytes: number
  readonly done: OnAppended
}

export interface ProducerOptions {
  readonly cluster: Cluster
  readonly reader: KafkaReader
  /** While callers come in company, so long a send waits for more of them. */
  readonly lingerMs: number
  /** What is not acknowledged by then is looked for in the log. */
  readonly deliverWithinMs: number
}

interface Identity {
  readonly id: string
  readonly epoch: number
  /** By partition: the sequence of the next record. */
  readonly sequences: Map<string, number>
}

const batchBytesAim = 512 * 1024
const batchRecordsMax = 500

/** Less than this costs more to compress than it saves. */
const compressedBytesMin = 4096

const sequenceEnd = 2 ** 31
const ackOfAll = -1
const brokerTimeoutMs = 30_000

/** Codes by which Kafka says that it does not know this producer, or not at this point. */
const forgotten: ReadonlySet<number | null> = new Set([
  codes.outOfOrderSequence,
  codes.invalidProducerEpoch,
  codes.unknownProducerId,
])

export class Producer {
  readonly #options: ProducerOptions
  readonly #wire: Wire
  /** By partition, who waited longest first. */
  readonly #queues = new Map<string, Array<PendingAppend>>()
  /** By partition: the offset after our last append. */
  readonly #ends = new Map<string, number>()
  #identity: Identity | null = null
  #running = false
  #callsLast = 0

  constructor(options: ProducerOptions) {
    this.#options = options
    this.#wire = options.cluster.newWire()
  }

  get idle(): boolean {
    return !this.#running
  }

  append(pending: PendingAppend): void {
    const key = partitionKey(pending.partition)
    const queue = this.#queues.get(key)
    if (queue === undefined) this.#queues.set(key, [pending])
    else queue.push(pending)
    if (this.#running) return
    this.#running = true
    if (this.#callsLast > 1) setTimeout(() => void this.#run(), this.#options.lingerMs)
    else setImmediate(() => void this.#run())
  }

  /** Fails what was not sent. */
  fail(error: LogError): void {
    const waiting = [...this.#queues.values()].flat()
    this.#queues.clear()
    for (const { done } of waiting) done(error, -1)
  }

  async #run(): Promise<void> {
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      this.#callsLast = batch.length
      await this.#deliver(batch)
    }
    this.#running = false
  }

  /** Calls of one partition in their order, as many as one send holds, one at least. */
  #take(): ReadonlyArray<PendingAppend> {
    for (const [key, queue] of this.#queues) {
      let bytes = 0
      let records = 0
      const past = queue.findIndex((pending, index) => {
        bytes += pending.bytes
        records += pending.messages.length
        return index > 0 && (bytes > batchBytesAim || records > batchRecordsMax)
      })
      // Out and in again: partitions take turns.
      this.#queues.delete(key)
      if (past >= 0) this.#queues.set(key, queue.splice(past))
      return queue
    }
    return []
  }

  async #deliver(batch: ReadonlyArray<PendingAppend>): Promise<void> {
    const { partition } = batch[0]!
    const messages = batch.flatMap((pending) => pending.messages)
    let offset = -1
    let failure: LogError | null = null
    try {
      offset = await this.#send(partition, messages)
      this.#ends.set(partitionKey(partition), offset + messages.length)
    } catch (error) {
      failure = toLogError(error)
    }
    for (const pending of batch) {
      pending.done(failure, offset)
      if (failure === null) offset += pending.messages.length
    }
  }

  /** The offset of the first. */
  async #send(partition: TopicPartition, messages: ReadonlyArray<Message>): Promise<number> {
    const { cluster, deliverWithinMs } = this.#options
    const deadline = cluster.now() + deliverWithinMs
    // Set once a try may have been appended without our knowing; from then on only Kafka's word or
    // the log itself says what became of it.
    let tried: Identity | null = null
    const { firstMs, mostMs } = cluster.retry
    for (let waitMs = firstMs; ; waitMs = Math.min(mostMs, waitMs * 2)) {
      const outcome = await this.#try(partition, messages)
      if (typeof outcome === "number") return outcome
      const { error, identity } = outcome
      if (identity !== null && error instanceof BrokerError && error.ambiguous) tried = identity
      const code = error instanceof BrokerError ? error.code : undefined
      const lost = code !== undefined && forgotten.has(code)
      if (lost) this.#identity = null
      const sent = tried ?? (code === codes.duplicateSequence ? identity : null)
      if (sent !== null && (lost || code === codes.duplicateSequence)) {
        return this.#readBack(partition, sent, error)
      }
      const again = lost || (error instanceof BrokerError && error.passing)
      if (!again || cluster.now() + waitMs > deadline) {
        if (tried === null) throw error
        return this.#readBack(partition, tried, error)
      }
      await sleep(waitMs)
      await cluster.refresh().catch(() => undefined)
    }
  }

  /** `identity` is null where nothing was sent. */
  async #try(
    partition: TopicPartition,
    messages: ReadonlyArray<Message>,
  ): Promise<number | { readonly error: unknown; readonly identity: Identity | null }> {
    const key = partitionKey(partition)
    let identity: Identity | null = null
    try {
      const known = (this.#identity ??= await this.#identify())
      const leader = await this.#options.reader.leader(partition)
      const node = this.#wire.node(leader)
      const sequence = known.sequences.get(key) ?? 0
      identity = known
      const answer = await node.call("Produce", produceArgs(partition, messages, known, sequence))
      const result = answer.topics[0]?.partitions[0]
      if (result === undefined) throw new BrokerError(null, "the broker left a partition out")
      orThrow(result.errorCode, key)
      known.sequences.set(key, (sequence + messages.length) % sequenceEnd)
      return Number(result.baseOffset)
    } catch (error) {
      return { error, identity }
    }
  }

  async #identify(): Promise<Identity> {
    const answer = await this.#wire.any("InitProducerId", {})
    orThrow(answer.errorCode, "a producer id")
    return { id: answer.producerId, epoch: answer.producerEpoch, sequences: new Map() }
  }

  async #readBack(
    partition: TopicPartition,
    { id, sequences }: Identity,
    why: unknown,
  ): Promise<number> {
    this.#identity = null
    const key = partitionKey(partition)
    const batch = { producerId: Number(id), baseSequence: sequences.get(key) ?? 0 }
    const { reader } = this.#options
    const found = await reader
      .findBatch(partition, this.#ends.get(key) ?? 0, batch)
      .catch(() => null)
    if (found !== null) return found
    const { message } = toLogError(why)
    throw new LogError({ reason: "unknownOutcome", message: `${message} Read back to know.` })
  }
}

const produceArgs = (
  { topic, partition }: TopicPartition,
  messages: ReadonlyArray<Message>,
  identity: Identity,
  firstSequence: number,
) => {
  const bytes = messages.reduce((sum, { value }) => sum + value.length, 0)
  return {
    acks: ackOfAll,
    timeout: brokerTimeoutMs,
    compression: bytes < compressedBytesMin ? compression.Types.None : compression.Types.ZSTD,
    producerId: identity.id,
    producerEpoch: identity.epoch,
    topicData: [{ topic, partitions: [{ partition, firstSequence, messages }] }],
  }
}
