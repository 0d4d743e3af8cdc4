// Delivers the records of partitions to whoever follows them: in offset order, each once, as soon
// as the store says that there are new ones. Plain callbacks, no fiber. A follower that is far
// behind yields to the event loop between batches, so that it holds up neither the others nor
// anything else.
import { type LogError, type LogRecord, type TopicPartition } from "../Log.ts"
import { type RecordSource } from "./RecordSource.ts"
import { partitionKey } from "../partitionKey.ts"

export interface FollowerOptions {
  readonly partition: TopicPartition
  /** The next offset to be delivered. */
  readonly offset: number
  /** What to do where retention has passed the position: fail, or go on at the first there is. */
  readonly overtaken: "fail" | "skip"
  readonly onRecords: (records: ReadonlyArray<LogRecord>) => void
  /** Called once; the follower is no more. */
  readonly onError: (error: LogError) => void
}

export interface Follower {
  readonly partition: TopicPartition
  readonly pause: () => void
  readonly resume: () => void
  readonly close: () => void
}

const batchBytes = 256 * 1024
/** A turn of the event loop delivers at most 4 * 256 KiB to one follower. */
const batchesATurn = 4

interface Position {
  readonly options: FollowerOptions
  offset: number
  paused: boolean
  closed: boolean
  /** True while it delivers, or waits for its next turn of the event loop. */
  busy: boolean
}

export class Followers {
  readonly #source: RecordSource
  readonly #positions = new Map<string, Set<Position>>()

  constructor(source: RecordSource) {
    this.#source = source
  }

  /** Nothing is delivered before the next turn of the event loop. */
  follow(options: FollowerOptions): Follower {
    const position = { options, offset: options.offset, paused: false, closed: false, busy: false }
    const key = partitionKey(options.partition)
    const positions = this.#positions.get(key) ?? new Set()
    this.#positions.set(key, positions.add(position))
    this.#later(position)
    return {
      partition: options.partition,
      pause: () => {
        position.paused = true
      },
      resume: () => {
        position.paused = false
        this.#later(position)
      },
      close: () => this.#close(position),
    }
  }

  /** This partition has new records. */
  wake(partition: TopicPartition): void {
    const positions = this.#positions.get(partitionKey(partition))
    if (positions !== undefined) for (const position of positions) this.#deliver(position)
  }

  /** Any partition may have new records. */
  wakeAll(): void {
    for (const positions of this.#positions.values()) {
      for (const position of positions) this.#deliver(position)
    }
  }

  /** Fails every follower: the store is no more. */
  fail(error: LogError): void {
    for (const positions of this.#positions.values()) {
      for (const position of positions) this.#fail(position, error)
    }
  }

  #later(position: Position): void {
    if (position.busy) return
    position.busy = true
    setImmediate(() => {
      position.busy = false
      this.#deliver(position)
    })
  }

  #deliver(position: Position): void {
    if (position.busy) return
    position.busy = true
    let batches = 0
    while (batches < batchesATurn && this.#deliverBatch(position)) batches++
    position.busy = false
    if (batches === batchesATurn) this.#later(position)
  }

  #deliverBatch(position: Position): boolean {
    if (position.paused || position.closed) return false
    const { partition, overtaken, onRecords } = position.options
    const records = this.#source.read(partition, position.offset, batchBytes)
    if (!("length" in records)) {
      if (records.reason === "outOfRange" && overtaken === "skip") return this.#skip(position)
      this.#fail(position, records)
      return false
    }
    const last = records[records.length - 1]
    if (last === undefined) return false
    position.offset = last.offset + 1
    onRecords(records)
    return true
  }

  #skip(position: Position): boolean {
    const bounds = this.#source.bounds(position.options.partition)
    if ("first" in bounds && bounds.first > position.offset) {
      position.offset = bounds.first
      return true
    }
    return false
  }

  #fail(position: Position, error: LogError): void {
    if (position.closed) return
    this.#close(position)
    position.options.onError(error)
  }

  #close(position: Position): void {
    position.closed = true
    const key = partitionKey(position.options.partition)
    const positions = this.#positions.get(key)
    positions?.delete(position)
    if (positions?.size === 0) this.#positions.delete(key)
  }
}
