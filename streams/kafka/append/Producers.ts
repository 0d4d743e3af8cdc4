// All appends of this process: a few producers, each partition always with the same one, so that
// its appends keep their order. What waits is bounded by bytes; past the bound an append is refused
// at once.
import { setTimeout as sleep } from "node:timers/promises"
import { type AppendRecord, LogError, type OnAppended, type TopicPartition } from "../../Log.ts"
import { partitionKey } from "../../partitionKey.ts"
import { hashText } from "../../topics.ts"
import type { Message } from "../wire/requests.ts"
import { Producer, type ProducerOptions } from "./Producer.ts"

/** Each waits for its own acknowledgement: more of them are more partitions at once. */
const producersMax = 8

/** Records that wait or are on their way: some seconds of any load that Kafka could take. */
const pendingBytesMax = 64 * 1024 * 1024

/** As topics are made: `max.message.bytes`, less what Kafka adds. */
export const messageBytesMax = 16 * 1024 * 1024
const recordBytesMax = messageBytesMax - 64 * 1024

const drainMs = 5000

export class Producers {
  readonly #producers: ReadonlyArray<Producer>
  #pendingBytes = 0
  #closed = false

  constructor(options: ProducerOptions) {
    this.#producers = Array.from({ length: producersMax }, () => new Producer(options))
  }

  append(partition: TopicPartition, records: ReadonlyArray<AppendRecord>, done: OnAppended): void {
    const bytes = records.reduce((sum, { key, value }) => sum + value.length + sizeOf(key), 0)
    const refused = this.#refusal(bytes)
    if (refused !== null || records.length === 0) {
      setImmediate(done, refused ?? null, -1)
      return
    }
    this.#pendingBytes += bytes
    const producer = this.#producers[hashText(partitionKey(partition)) % producersMax]!
    producer.append({
      partition,
      messages: records.map(toMessage),
      bytes,
      done: (error, offset) => {
        this.#pendingBytes -= bytes
        done(error, offset)
      },
    })
  }

  /** What is on its way gets a little time; the rest fails. */
  async close(now: () => number): Promise<void> {
    this.#closed = true
    const deadline = now() + drainMs
    while (now() < deadline && this.#producers.some(({ idle }) => !idle)) await sleep(5)
    for (const producer of this.#producers) producer.fail(closed())
  }

  #refusal(bytes: number): LogError | null {
    if (this.#closed) return closed()
    if (bytes > recordBytesMax) {
      const message = `One append holds ${bytes} bytes; Kafka's topics take ${recordBytesMax}.`
      return new LogError({ reason: "tooLarge", message })
    }
    if (this.#pendingBytes + bytes <= pendingBytesMax) return null
    const message = `${this.#pendingBytes} bytes wait for Kafka already; no more is taken.`
    return new LogError({ reason: "full", message })
  }
}

const closed = () => new LogError({ reason: "closed", message: "The log is closed." })

const sizeOf = (key: string | null): number => (key === null ? 0 : Buffer.byteLength(key))

const toMessage = ({ key, value }: AppendRecord): Message => ({
  key: key === null ? null : Buffer.from(key),
  value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
})
