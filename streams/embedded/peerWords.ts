// What processes on one data folder say to each other over their wake sockets. Pure.
//
//     look    | 1 |                                     something was committed
//     want    | 2 | bytes u32 | topic |                 tell me of records on their way into it
//     early   | 3 | bytes u32 | topic bytes u16 | topic | partition u32 | record | record | ...
//
// Little endian; a record as in format.ts. Every word may be lost, and none is acted upon but as a
// hint; one that is malformed or too large ends the connection.
import type { AppendRecord, TopicPartition } from "../Log.ts"
import { readRecordAt, recordBytes, writeRecord } from "./format.ts"

const lookKind = 1
const wantKind = 2
const earlyKind = 3
const headBytes = 5

/** A longer word is not sent, and not taken. */
export const wordBytesMax = 64 * 1024

export type PeerWord =
  | { readonly kind: "look" }
  | { readonly kind: "want"; readonly topic: string }
  | {
      readonly kind: "early"
      readonly partition: TopicPartition
      readonly records: ReadonlyArray<AppendRecord>
    }

export const lookWord = Buffer.from([lookKind])

export const wantWord = (topic: string): Buffer => {
  const word = Buffer.alloc(headBytes + Buffer.byteLength(topic))
  word[0] = wantKind
  word.writeUInt32LE(word.length - headBytes, 1)
  word.write(topic, headBytes)
  return word
}

/** null: it would be too long. */
export const earlyWord = (
  { topic, partition }: TopicPartition,
  records: ReadonlyArray<AppendRecord>,
): Buffer | null => {
  const topicBytes = Buffer.byteLength(topic)
  const sizes = records.reduce((sum, record) => sum + recordBytes(record), 0)
  const bytes = headBytes + 2 + topicBytes + 4 + sizes
  if (bytes > wordBytesMax) return null
  const word = Buffer.alloc(bytes)
  word[0] = earlyKind
  word.writeUInt32LE(bytes - headBytes, 1)
  word.writeUInt16LE(topicBytes, headBytes)
  word.write(topic, headBytes + 2)
  let at = word.writeUInt32LE(partition, headBytes + 2 + topicBytes)
  for (const record of records) at = writeRecord(word, at, record)
  return word
}

const readEarly = (body: Buffer): PeerWord | null => {
  if (body.length < 2) return null
  const topicEnd = 2 + body.readUInt16LE(0)
  if (body.length < topicEnd + 4) return null
  const topic = body.toString("utf8", 2, topicEnd)
  const partition = { topic, partition: body.readUInt32LE(topicEnd) }
  const records: Array<AppendRecord> = []
  for (let at = topicEnd + 4; at < body.length;) {
    const read = readRecordAt(body, at)
    if (read === null) return null
    records.push({ key: read.key, value: read.value })
    at = read.end
  }
  return { kind: "early", partition, records }
}

/** Takes what a socket gives, in whatever pieces; null: what came is none of our words. */
export class PeerWordReader {
  #rest: Buffer = Buffer.alloc(0)

  take(bytes: Buffer): ReadonlyArray<PeerWord> | null {
    const words: Array<PeerWord> = []
    let input = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (input.length > 0) {
      const length = lengthOf(input)
      if (length === null || length > wordBytesMax) return null
      if (length > input.length) break
      const word = readWord(input.subarray(0, length))
      if (word === null) return null
      words.push(word)
      input = input.subarray(length)
    }
    this.#rest = Buffer.from(input)
    return words
  }
}

/** As far as it can be told yet: a head that is not whole has its own length. */
const lengthOf = (input: Buffer): number | null => {
  const kind = input[0]
  if (kind === lookKind) return 1
  if (kind !== wantKind && kind !== earlyKind) return null
  return input.length < headBytes ? headBytes : headBytes + input.readUInt32LE(1)
}

const readWord = (word: Buffer): PeerWord | null => {
  if (word[0] === lookKind) return { kind: "look" }
  const body = word.subarray(headBytes)
  return word[0] === wantKind ? { kind: "want", topic: body.toString() } : readEarly(body)
}
