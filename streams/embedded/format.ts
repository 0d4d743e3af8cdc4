// The bytes of the embedded log: keys, chunks and partition states. Pure. A change here is a new
// format number, and a folder of another number is refused.
//
// A chunk holds records of one partition that were committed together, with consecutive offsets:
//
//     | crc32 u32 | count u32 | timestamp f64 | record 0 | record 1 | ...        little endian
//     record: | key bytes + 1, or 0 for no key u32 | value bytes u32 | key, UTF-8 | value |
//
// Its key is | topic id u32 | partition u32 | offset of record 0 u64 |, big endian, so that a
// partition's chunks lie in offset order. The checksum covers all that follows it.
import { crc32 } from "node:zlib"
import type { AppendRecord, LogRecord } from "../Log.ts"
import { LogFailure } from "../LogFailure.ts"

export const logFormat = "sluice-log 1"

export const chunkHeaderBytes = 16
const recordHeaderBytes = 8

/**
 * A chunk is ended by the record that reaches it, so that a reader can stop near its byte bound.
 */
export const chunkBytesAim = 64 * 1024

/** A record above it is refused; it bounds what one chunk can be. */
export const recordBytesMax = 64 * 1024 * 1024

const u32 = 2 ** 32

export interface PartitionId {
  readonly topicId: number
  readonly partition: number
}

export const chunkKey = ({ topicId, partition }: PartitionId, offset: number): Buffer => {
  const key = Buffer.allocUnsafe(16)
  key.writeUInt32BE(topicId, 0)
  key.writeUInt32BE(partition, 4)
  key.writeUInt32BE(Math.floor(offset / u32), 8)
  key.writeUInt32BE(offset % u32, 12)
  return key
}

export const keyOffset = (key: Uint8Array): number => {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return view.getUint32(8) * u32 + view.getUint32(12)
}

/** The key of a partition's state; also what its chunk keys begin with. */
export const partitionStateKey = (id: PartitionId): Buffer => chunkKey(id, 0).subarray(0, 8)

export const recordBytes = ({ key, value }: AppendRecord): number =>
  recordHeaderBytes + (key === null ? 0 : Buffer.byteLength(key)) + value.length

/** Writes a record at `at`; returns where it ends. */
export const writeRecord = (to: Buffer, at: number, { key, value }: AppendRecord): number => {
  const keyStart = at + recordHeaderBytes
  const keyBytes = key === null ? 0 : to.write(key, keyStart)
  to.writeUInt32LE(key === null ? 0 : keyBytes + 1, at)
  to.writeUInt32LE(value.length, at + 4)
  to.set(value, keyStart + keyBytes)
  return keyStart + keyBytes + value.length
}

/** Completes a chunk whose records are in place. */
export const sealChunk = (chunk: Buffer, count: number, timestamp: number): void => {
  chunk.writeUInt32LE(count, 4)
  chunk.writeDoubleLE(timestamp, 8)
  chunk.writeUInt32LE(crc32(chunk.subarray(4)), 0)
}

export interface RecordAt extends AppendRecord {
  readonly end: number
}

/** What `writeRecord` wrote at `at`, its value as a view; null: the bytes end within it. */
export const readRecordAt = (from: Buffer, at: number): RecordAt | null => {
  if (at + recordHeaderBytes > from.length) return null
  const keyed = from.readUInt32LE(at)
  const keyStart = at + recordHeaderBytes
  const valueStart = keyStart + Math.max(0, keyed - 1)
  const end = valueStart + from.readUInt32LE(at + 4)
  if (end > from.length) return null
  const key = keyed === 0 ? null : from.toString("utf8", keyStart, valueStart)
  return { key, value: from.subarray(valueStart, end), end }
}

export interface ChunkHeader {
  readonly count: number
  readonly timestamp: number
}

const damagedChunk = (offset: number, found: string) =>
  new LogFailure("corrupt", `The chunk of records at offset ${offset} is damaged: ${found}.`)

/** Only of a chunk that is long enough for its header. */
const headerOf = (chunk: Buffer): ChunkHeader => ({
  count: chunk.readUInt32LE(4),
  timestamp: chunk.readDoubleLE(8),
})

/** The header alone, unchecked but for its length: searches by time and offset need no more. */
export const readChunkHeader = (chunk: Buffer, base: number): ChunkHeader | LogFailure =>
  chunk.length < chunkHeaderBytes ? damagedChunk(base, "it is too short") : headerOf(chunk)

/** The chunk's records, as views of it. `base` is the offset of the first. */
export const readChunk = (chunk: Buffer, base: number): ReadonlyArray<LogRecord> | LogFailure => {
  if (chunk.length < chunkHeaderBytes) return damagedChunk(base, "it is too short")
  if (crc32(chunk.subarray(4)) !== chunk.readUInt32LE(0)) {
    return damagedChunk(base, "its checksum is wrong")
  }
  const { count, timestamp } = headerOf(chunk)
  const records: Array<LogRecord> = []
  let at = chunkHeaderBytes
  for (let i = 0; i < count; i++) {
    const record = readRecordAt(chunk, at)
    if (record === null) return damagedChunk(base, "it ends early")
    const { key, value, end } = record
    records.push({ offset: base + i, timestamp, key, value })
    at = end
  }
  return records
}

/**
 * What is kept of each partition, changed with every append and deletion in the same transaction.
 */
export interface PartitionState {
  readonly first: number
  readonly next: number
  /** Of the chunks. */
  readonly bytes: number
  /** Of the newest record, so that timestamps never go back. */
  readonly timestamp: number
}

const emptyPartition: PartitionState = { first: 0, next: 0, bytes: 0, timestamp: 0 }

export const writePartitionState = (state: PartitionState): Buffer => {
  const bytes = Buffer.allocUnsafe(32)
  bytes.writeDoubleLE(state.first, 0)
  bytes.writeDoubleLE(state.next, 8)
  bytes.writeDoubleLE(state.bytes, 16)
  bytes.writeDoubleLE(state.timestamp, 24)
  return bytes
}

export const readPartitionState = (bytes: Buffer | undefined): PartitionState =>
  bytes === undefined || bytes.length < 32
    ? emptyPartition
    : {
        first: bytes.readDoubleLE(0),
        next: bytes.readDoubleLE(8),
        bytes: bytes.readDoubleLE(16),
        timestamp: bytes.readDoubleLE(24),
      }

const pageBytes = 4096
/**
 * Values above it get pages of their own in LMDB; others share a page, which is filled by two
 * thirds.
 */
const sharedPageBytesMax = 2000

/** What a chunk takes of the map, near enough to bound the whole. */
export const footprint = (chunkBytes: number): number =>
  chunkBytes > sharedPageBytesMax
    ? Math.ceil((chunkBytes + 16) / pageBytes) * pageBytes
    : Math.ceil((chunkBytes + 32) * 1.5)
