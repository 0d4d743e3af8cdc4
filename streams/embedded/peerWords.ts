// What processes on one data folder say to each other over their wake sockets. Pure.
//
//     look    | 1 |                                     something was committed, anywhere
//     want    | 2 | bytes u32 | topic |                 tell me of records on their way into it
//     early   | 3 | bytes u32 | place | record | ...    these are on their way into it
//     new     | 4 | bytes u32 | place | place | ...     these partitions have new records
//
//     place:  | topic bytes u16 | topic | partition u32 |
//
// Little endian; a record as in format.ts. Every word may be lost, and none is acted upon but as a
// hint; one that is malformed or too large ends the connection.
import type { AppendRecord, TopicPartition } from "../Log.ts"
import { readRecordAt, recordBytes, writeRecord } from "./format.ts"

const lookKind = 1
const wantKind = 2
const earlyKind = 3
const newKind = 4
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
  | { readonly kind: "new"; readonly partitions: ReadonlyArray<TopicPartition> }

export const lookWord = Buffer.from([lookKind])

export const wantWord = (topic: string): Buffer => {
  const word = Buffer.alloc(headBytes + Buffer.byteLength(topic))
  word[0] = wantKind
  word.writeUInt32LE(word.length - headBytes, 1)
  word.write(topic, headBytes)
  return word
}

const placeBytes = ({ topic }: TopicPartition): number => 2 + Buffer.byteLength(topic) + 4

const writePlace = (word: Buffer, at: number, { topic, partition }: TopicPartition): number => {
  const topicBytes = word.write(topic, at + 2)
  word.writeUInt16LE(topicBytes, at)
  return word.writeUInt32LE(partition, at + 2 + topicBytes)
}

interface PlaceAt {
  readonly place: TopicPartition
  readonly end: number
}

const readPlace = (body: Buffer, at: number): PlaceAt | null => {
  if (body.length < at + 2) return null
  const topicEnd = at + 2 + body.readUInt16LE(at)
  if (body.length < topicEnd + 4) return null
  const topic = body.toString("utf8", at + 2, topicEnd)
  return { place: { topic, partition: body.readUInt32LE(topicEnd) }, end: topicEnd + 4 }
}

const sum = <A>(all: ReadonlyArray<A>, bytesOf: (one: A) => number): number =>
  all.reduce((bytes, one) => bytes + bytesOf(one), 0)

/** null: it would be too long. */
const beginWord = (kind: number, bodyBytes: number): Buffer | null => {
  if (headBytes + bodyBytes > wordBytesMax) return null
  const word = Buffer.alloc(headBytes + bodyBytes)
  word[0] = kind
  word.writeUInt32LE(bodyBytes, 1)
  return word
}

/** null: it would be too long. */
export const earlyWord = (
  partition: TopicPartition,
  records: ReadonlyArray<AppendRecord>,
): Buffer | null => {
  const word = beginWord(earlyKind, placeBytes(partition) + sum(records, recordBytes))
  if (word === null) return null
  let at = writePlace(word, headBytes, partition)
  for (const record of records) at = writeRecord(word, at, record)
  return word
}

/** As a look where it would be too long. */
export const newWord = (partitions: ReadonlyArray<TopicPartition>): Buffer => {
  const word = beginWord(newKind, sum(partitions, placeBytes))
  if (word === null) return lookWord
  let at = headBytes
  for (const partition of partitions) at = writePlace(word, at, partition)
  return word
}

const readEarly = (body: Buffer): PeerWord | null => {
  const found = readPlace(body, 0)
  if (found === null) return null
  const records: Array<AppendRecord> = []
  for (let at = found.end; at < body.length;) {
    const read = readRecordAt(body, at)
    if (read === null) return null
    records.push({ key: read.key, value: read.value })
    at = read.end
  }
  return { kind: "early", partition: found.place, records }
}

const readNew = (body: Buffer): PeerWord | null => {
  const partitions: Array<TopicPartition> = []
  for (let at = 0; at < body.length;) {
    const found = readPlace(body, at)
    if (found === null) return null
    partitions.push(found.place)
    at = found.end
  }
  return { kind: "new", partitions }
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
  if (kind !== wantKind && kind !== earlyKind && kind !== newKind) return null
  return input.length < headBytes ? headBytes : headBytes + input.readUInt32LE(1)
}

const readWord = (word: Buffer): PeerWord | null => {
  if (word[0] === lookKind) return { kind: "look" }
  const body = word.subarray(headBytes)
  if (word[0] === wantKind) return { kind: "want", topic: body.toString() }
  return word[0] === newKind ? readNew(body) : readEarly(body)
}
