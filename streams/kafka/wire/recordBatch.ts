// Kafka's record batches (format version 2) to records. Written here because kafkajs drops what a
// batch says of itself: the offset after it (a batch may be empty after compaction, and a reader
// would ask for it for ever) and who wrote it (which tells whether one's own records arrived).
//
//     base offset 8 | length 4 | epoch 4 | magic 1 | crc 4 | attributes 2 | last offset delta 4 |
//     base timestamp 8 | max timestamp 8 | producer id 8 | epoch 2 | base sequence 4 | count 4
import { gunzipSync, zstdDecompressSync } from "node:zlib"
import type { LogRecord } from "../../Log.ts"

export interface RecordBatch {
  readonly baseOffset: number
  /** The first offset after the batch. */
  readonly nextOffset: number
  readonly producerId: number
  readonly baseSequence: number
  readonly records: ReadonlyArray<LogRecord>
}

const headBytes = 12
const overheadBytes = 61

/** More than any topic of ours takes in a batch. */
const inflatedBytesMax = 128 * 1024 * 1024

const compressionMask = 0x07
const logAppendTime = 0x08
const control = 0x20

const int64 = (bytes: Buffer, at: number): number =>
  bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)

/** The whole batches of a record set; the last may have been cut off by the broker. */
export const readBatches = (bytes: Buffer): ReadonlyArray<RecordBatch> => {
  const batches: Array<RecordBatch> = []
  let at = 0
  while (at + overheadBytes <= bytes.length) {
    const end = at + headBytes + bytes.readInt32BE(at + 8)
    if (end > bytes.length) break
    batches.push(readBatch(bytes.subarray(at, end)))
    at = end
  }
  return batches
}

const readBatch = (bytes: Buffer): RecordBatch => {
  const baseOffset = int64(bytes, 0)
  const attributes = bytes.readInt16BE(21)
  const nextOffset = baseOffset + bytes.readInt32BE(23) + 1
  const head = {
    baseOffset,
    nextOffset,
    producerId: int64(bytes, 43),
    baseSequence: bytes.readInt32BE(53),
  }
  if ((attributes & control) !== 0) return { ...head, records: [] }
  const count = bytes.readInt32BE(57)
  const body = inflate(bytes.subarray(overheadBytes), attributes & compressionMask)
  const fixed = (attributes & logAppendTime) !== 0 ? int64(bytes, 35) : null
  const records =
    body === null
      ? null
      : readRecords(body, { count, baseOffset, fixed, baseTimestamp: int64(bytes, 27) })
  return { ...head, records: records ?? unreadable(baseOffset, count, int64(bytes, 35)) }
}

/**
 * A batch that cannot be read must not stop its partition: its records are there without a value,
 * and whoever decodes them says what they are not.
 */
const unreadable = (offset: number, count: number, timestamp: number): ReadonlyArray<LogRecord> =>
  Array.from({ length: Math.max(0, count) }, (_, i) => ({
    offset: offset + i,
    timestamp,
    key: null,
    value: new Uint8Array(0),
  }))

const inflate = (body: Buffer, codec: number): Buffer | null => {
  try {
    if (codec === 0) return body
    if (codec === 1) return gunzipSync(body, { maxOutputLength: inflatedBytesMax })
    if (codec === 4) return zstdDecompressSync(body, { maxOutputLength: inflatedBytesMax })
    return null
  } catch {
    return null
  }
}

interface BatchFacts {
  readonly count: number
  readonly baseOffset: number
  readonly baseTimestamp: number
  /** The log's own time where it sets one. */
  readonly fixed: number | null
}

/** null where the body does not hold what it says. */
const readRecords = (body: Buffer, facts: BatchFacts): ReadonlyArray<LogRecord> | null => {
  const cursor = new Cursor(body)
  const records: Array<LogRecord> = []
  for (let i = 0; i < facts.count; i++) {
    const length = cursor.varint()
    const end = cursor.at + length
    cursor.at += 1
    const timestamp = facts.fixed ?? facts.baseTimestamp + cursor.peekVarint()
    cursor.skipVarint()
    const offset = facts.baseOffset + cursor.varint()
    const key = cursor.bytes()
    const value = cursor.bytes()
    if (cursor.damaged || length < 0 || end > body.length) return null
    records.push({
      offset,
      timestamp,
      key: key === null ? null : key.toString("utf8"),
      value: Buffer.from(value ?? nothing),
    })
    cursor.at = end
  }
  return records
}

const nothing = Buffer.alloc(0)

class Cursor {
  at = 0
  damaged = false
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Zigzag, up to 53 bits. */
  varint(): number {
    let value = 0
    let scale = 1
    let byte = 0x80
    for (let read = 0; byte >= 0x80; read++) {
      if (read > 9 || this.at >= this.#bytes.length) {
        this.damaged = true
        return 0
      }
      byte = this.#bytes[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      scale *= 128
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  peekVarint(): number {
    const before = this.at
    const value = this.varint()
    this.at = before
    return value
  }

  skipVarint(): void {
    this.varint()
  }

  bytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const end = this.at + length
    if (end > this.#bytes.length) this.damaged = true
    const bytes = this.#bytes.subarray(this.at, end)
    this.at = end
    return bytes
  }
}
