// Deletes what topics keep no longer, oldest first, within a write transaction and so much at a
// time that appends never wait long for it. Only this moves a partition's `first`.
import { LogFailure } from "../LogFailure.ts"
import {
  chunkKey,
  footprint,
  keyOffset,
  type PartitionId,
  type PartitionState,
  partitionStateKey,
  readChunk,
  readChunkHeader,
  readPartitionState,
  writePartitionState,
} from "./format.ts"
import { latestKey, readFootprint, writeFootprint } from "./appendChunks.ts"
import type { Store } from "./Store.ts"
import { readTopics, type TopicRow } from "./topicTable.ts"

/** Chunks deleted in one transaction: some ms. */
const deletionsMax = 256

interface Round {
  readonly now: number
  /** Chunks that it may still delete. */
  deletions: number
  /** What it has freed. */
  freed: number
}

interface StoredChunk {
  readonly offset: number
  /** The offset after its last record. */
  readonly end: number
  /** 0 of a damaged one, which is past retention before any other. */
  readonly timestamp: number
  readonly bytes: Buffer
}

const oldestChunk = (store: Store, id: PartitionId, first: number): StoredChunk | null => {
  const range = { start: chunkKey(id, first), end: chunkKey(id, Number.MAX_SAFE_INTEGER) }
  for (const { key, value } of store.chunks.getRange({ ...range, limit: 1 })) {
    const offset = keyOffset(key)
    const header = readChunkHeader(value, offset)
    return header instanceof LogFailure
      ? { offset, end: offset + 1, timestamp: 0, bytes: value }
      : { offset, end: offset + header.count, timestamp: header.timestamp, bytes: value }
  }
  return null
}

const forgetLatest = (store: Store, id: PartitionId, chunk: StoredChunk): void => {
  const records = readChunk(chunk.bytes, chunk.offset)
  if (records instanceof LogFailure) return
  for (const { key } of records) {
    const at = latestKey(id, key ?? "")
    if (store.latest.get(at)?.readDoubleLE(0) === chunk.offset) store.latest.remove(at)
  }
}

/** The newest chunk is never deleted for its bytes: it may not have been read yet. */
const isPast = (
  { spec }: TopicRow,
  state: PartitionState,
  chunk: StoredChunk,
  now: number,
): boolean =>
  chunk.timestamp < now - spec.retentionMs ||
  (state.bytes > spec.retentionBytes && chunk.end < state.next)

const retainPartition = (store: Store, topic: TopicRow, partition: number, round: Round): void => {
  const id = { topicId: topic.id, partition }
  const stateKey = partitionStateKey(id)
  const before = readPartitionState(store.partitions.get(stateKey))
  let state = before
  while (round.deletions > 0) {
    const oldest = oldestChunk(store, id, state.first)
    if (oldest === null || !isPast(topic, state, oldest, round.now)) break
    if (topic.spec.cleanup === "compact") forgetLatest(store, id, oldest)
    store.chunks.remove(chunkKey(id, oldest.offset))
    round.deletions--
    round.freed += footprint(oldest.bytes.length)
    state = { ...state, first: oldest.end, bytes: state.bytes - oldest.bytes.length }
  }
  if (state !== before) store.partitions.put(stateKey, writePartitionState(state))
}

/** True where there may be more to delete. */
export const retain = (store: Store, now: number): boolean => {
  const round: Round = { now, deletions: deletionsMax, freed: 0 }
  for (const topic of readTopics(store)) {
    for (let partition = 0; partition < topic.spec.partitions; partition++) {
      if (round.deletions === 0) break
      retainPartition(store, topic, partition, round)
    }
  }
  if (round.freed > 0) writeFootprint(store, readFootprint(store) - round.freed)
  return round.deletions === 0
}
