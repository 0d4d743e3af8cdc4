// Packs appends that will be committed together into one buffer of chunks, by partition, each
// partition's in the order of their calls. Pure.
import type { AppendRecord } from "../Log.ts"
import {
  chunkBytesAim,
  chunkHeaderBytes,
  type PartitionId,
  recordBytes,
  writeRecord,
} from "./format.ts"
import type { ChunkGroup } from "./writerCalls.ts"

export interface PackedAppend extends PartitionId {
  /** Each record of a compacted topic has a chunk of its own, so that it can go alone. */
  readonly compacted: boolean
  readonly records: ReadonlyArray<AppendRecord>
}

export interface Packed<A> {
  readonly bytes: ArrayBuffer
  readonly groups: ReadonlyArray<ChunkGroup>
  /** Of each group, its appends in order. */
  readonly members: ReadonlyArray<ReadonlyArray<A>>
}

const byPartition = <A extends PackedAppend>(appends: ReadonlyArray<A>): Array<Array<A>> => {
  const groups = new Map<number, Map<number, Array<A>>>()
  for (const append of appends) {
    const topic = groups.get(append.topicId) ?? new Map<number, Array<A>>()
    groups.set(append.topicId, topic)
    const group = topic.get(append.partition)
    if (group === undefined) topic.set(append.partition, [append])
    else group.push(append)
  }
  return [...groups.values()].flatMap((topic) => [...topic.values()])
}

/** An upper bound: each record might end its chunk. */
const roomFor = (appends: ReadonlyArray<PackedAppend>): number => {
  let bytes = 0
  for (const { records, compacted } of appends) {
    let chunked = 0
    for (const record of records) {
      const size = recordBytes(record)
      bytes += size
      chunked += size
    }
    const chunks = compacted ? records.length : Math.ceil(chunked / chunkBytesAim) + 1
    bytes += chunks * chunkHeaderBytes
  }
  return bytes
}

type Cut = ChunkGroup["chunks"][number]

/**
 * Writes a partition's records from `start` on; the last cut ends where the next partition begins.
 */
const packGroup = (buffer: Buffer, start: number, appends: ReadonlyArray<PackedAppend>) => {
  const cuts: Array<Cut> = []
  let chunkStart = start
  let at = start + chunkHeaderBytes
  let count = 0
  const cut = (key: string | null) => {
    cuts.push({ start: chunkStart, end: at, count, key })
    chunkStart = at
    at += chunkHeaderBytes
    count = 0
  }
  for (const { records, compacted } of appends) {
    for (const record of records) {
      at = writeRecord(buffer, at, record)
      count++
      if (compacted) cut(record.key ?? "")
      else if (at - chunkStart >= chunkBytesAim) cut(null)
    }
  }
  if (count > 0) cut(null)
  return { cuts, end: chunkStart }
}

export const pack = <A extends PackedAppend>(appends: ReadonlyArray<A>): Packed<A> => {
  const members = byPartition(appends)
  const bytes = new ArrayBuffer(roomFor(appends))
  const buffer = Buffer.from(bytes)
  let at = 0
  const groups = members.map((group): ChunkGroup => {
    const { cuts, end } = packGroup(buffer, at, group)
    at = end
    const { topicId = 0, partition = 0 } = group[0] ?? {}
    return { topicId, partition, chunks: cuts }
  })
  return { bytes, groups, members }
}
