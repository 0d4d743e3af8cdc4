// Reads of the embedded log, straight from the memory map: they do not wait, and they see what is
// durable at the moment of the call. What they return is a copy: LMDB may use the page again.
import {
  noSuchPartition,
  noSuchTopic,
  belowFirst,
  type RecordSource,
} from "../follow/RecordSource.ts"
import { type Bounds, LogError, type LogRecord, type TopicPartition } from "../Log.ts"
import { LogFailure } from "../LogFailure.ts"
import {
  chunkKey,
  keyOffset,
  type PartitionId,
  type PartitionState,
  partitionStateKey,
  readChunk,
  readChunkHeader,
  readPartitionState,
} from "./format.ts"
import type { Store } from "./Store.ts"
import { readTopic, type TopicRow } from "./topicTable.ts"

interface Located {
  readonly id: PartitionId
  readonly state: PartitionState
}

interface ChunkAt {
  readonly base: number
  readonly bytes: Buffer
}

export class Reader implements RecordSource {
  readonly #store: Store
  /** Ids and widths never change, so that a row once read stays good for them. */
  readonly #rows = new Map<string, TopicRow>()

  constructor(store: Store) {
    this.#store = store
  }

  /** What is asked from here on is of now, not of an earlier snapshot. */
  renew(): void {
    this.#store.env.resetReadTxn()
  }

  row(topic: string): TopicRow | null {
    const known = this.#rows.get(topic)
    if (known !== undefined) return known
    this.renew()
    const row = readTopic(this.#store, topic)
    if (row !== null) this.#rows.set(topic, row)
    return row
  }

  readonly partitions = (topic: string): number | null => this.row(topic)?.spec.partitions ?? null

  readonly bounds = (partition: TopicPartition): Bounds | LogError => {
    this.renew()
    const located = this.#locate(partition)
    if (located instanceof LogError) return located
    const { first, next } = located.state
    return { first, next }
  }

  readonly read = (
    partition: TopicPartition,
    offset: number,
    bytesMax: number,
  ): ReadonlyArray<LogRecord> | LogError => {
    this.renew()
    const located = this.#locate(partition)
    if (located instanceof LogError) return located
    const { first, next } = located.state
    if (offset < first) return belowFirst(partition, offset, first)
    return offset >= next ? [] : this.#collect(located.id, offset, bytesMax)
  }

  readonly offsetAt = (partition: TopicPartition, timestamp: number): number | LogError => {
    this.renew()
    const located = this.#locate(partition)
    if (located instanceof LogError) return located
    return this.#searchTime(located, timestamp)
  }

  #locate(partition: TopicPartition): Located | LogError {
    const row = this.row(partition.topic)
    if (row === null) return noSuchTopic(partition.topic)
    const { id: topicId, spec } = row
    if (!(partition.partition >= 0 && partition.partition < spec.partitions)) {
      return noSuchPartition(partition)
    }
    const id = { topicId, partition: partition.partition }
    return { id, state: readPartitionState(this.#store.partitions.get(partitionStateKey(id))) }
  }

  /** Whole chunks until they hold `bytesMax`, then cut to it by records: one at least. */
  #collect(id: PartitionId, offset: number, bytesMax: number): ReadonlyArray<LogRecord> | LogError {
    const records: Array<LogRecord> = []
    let bytes = 0
    for (const { base, bytes: chunk } of this.#chunksFrom(id, offset)) {
      const read = readChunk(chunk, base)
      if (read instanceof LogFailure) return records.length > 0 ? records : new LogError(read)
      for (const record of read) {
        if (record.offset < offset) continue
        bytes += record.value.length
        if (bytes > bytesMax && records.length > 0) return records
        records.push(record)
      }
      if (bytes >= bytesMax) break
    }
    return records
  }

  /** From the chunk that holds `offset`, or the first after it. */
  *#chunksFrom(id: PartitionId, offset: number): Generator<ChunkAt> {
    const end = chunkKey(id, Number.MAX_SAFE_INTEGER)
    const holder = this.#chunkBefore(id, offset)
    if (holder !== null) yield holder
    for (const { key, value } of this.#store.chunks.getRange({
      start: chunkKey(id, offset),
      end,
    })) {
      yield { base: keyOffset(key), bytes: value }
    }
  }

  /** The chunk that begins below `offset` and holds it. */
  #chunkBefore(id: PartitionId, offset: number): ChunkAt | null {
    if (offset === 0) return null
    if (this.#store.chunks.doesExist(chunkKey(id, offset))) return null
    const chunk = this.#lastChunkTo(id, offset)
    if (chunk === null) return null
    const header = readChunkHeader(chunk.bytes, chunk.base)
    const holds = header instanceof LogFailure || chunk.base + header.count > offset
    return holds ? chunk : null
  }

  /** The last chunk that begins at or below `offset`. */
  #lastChunkTo(id: PartitionId, offset: number): ChunkAt | null {
    const range = { start: chunkKey(id, offset), end: chunkKey(id, 0), reverse: true, limit: 1 }
    for (const { key, value } of this.#store.chunks.getRange({ ...range, inclusiveEnd: true })) {
      return { base: keyOffset(key), bytes: value }
    }
    return null
  }

  /** By halves over the offsets: timestamps do not go back within a partition. */
  #searchTime({ id, state }: Located, timestamp: number): number | LogError {
    let low = state.first
    let high = state.next
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2)
      const chunk = this.#lastChunkTo(id, middle)
      if (chunk === null || chunk.base < state.first) {
        low = middle + 1
        continue
      }
      const header = readChunkHeader(chunk.bytes, chunk.base)
      if (header instanceof LogFailure) return new LogError(header)
      if (header.timestamp >= timestamp) high = Math.max(low, chunk.base)
      else low = Math.max(middle + 1, chunk.base + header.count)
    }
    return Math.min(low, state.next)
  }
}
