// Appends chunks within a write transaction: gives offsets and timestamps, keeps each partition's
// state and the footprint of the whole, and drops what compaction replaces. Whether there is room
// is decided before anything is written.
import { LogFailure } from "../LogFailure.ts"
import {
  chunkKey,
  footprint,
  type PartitionId,
  type PartitionState,
  partitionStateKey,
  readPartitionState,
  sealChunk,
  writePartitionState,
} from "./format.ts"
import { metaKey, type Store } from "./Store.ts"
import type { AppendCall, ChunkGroup } from "./writerCalls.ts"

export const readFootprint = (store: Store): number => {
  const bytes = store.meta.get(metaKey("footprint"))
  return bytes === undefined ? 0 : bytes.readDoubleLE(0)
}

export const writeFootprint = (store: Store, bytes: number): void => {
  const value = Buffer.allocUnsafe(8)
  value.writeDoubleLE(bytes, 0)
  store.meta.put(metaKey("footprint"), value)
}

export const latestKey = (id: PartitionId, key: string): Buffer =>
  Buffer.concat([partitionStateKey(id), Buffer.from(key)])

/** Removes a chunk; returns its bytes, 0 where there was none. */
const removeChunk = (store: Store, id: PartitionId, offset: number): number => {
  const key = chunkKey(id, offset)
  const bytes = store.chunks.get(key)?.length ?? 0
  if (bytes > 0) store.chunks.remove(key)
  return bytes
}

/** The record of this key at `offset` replaces an older one; returns the older one's bytes. */
const replaceLatest = (store: Store, id: PartitionId, key: string, offset: number): number => {
  const at = latestKey(id, key)
  const older = store.latest.get(at)
  const value = Buffer.allocUnsafe(8)
  value.writeDoubleLE(offset, 0)
  store.latest.put(at, value)
  return older === undefined ? 0 : removeChunk(store, id, older.readDoubleLE(0))
}

interface Appended {
  readonly state: PartitionState
  /** By how much the whole grew. */
  readonly grown: number
}

const appendGroup = (
  store: Store,
  call: AppendCall,
  group: ChunkGroup,
  before: PartitionState,
): Appended => {
  const timestamp = Math.max(call.now, before.timestamp)
  let { next, bytes } = before
  let grown = 0
  for (const { start, end, count, key } of group.chunks) {
    const chunk = Buffer.from(call.bytes, start, end - start)
    sealChunk(chunk, count, timestamp)
    store.chunks.put(chunkKey(group, next), chunk)
    const replaced = key === null ? 0 : replaceLatest(store, group, key, next)
    bytes += chunk.length - replaced
    grown += footprint(chunk.length) - (replaced === 0 ? 0 : footprint(replaced))
    next += count
  }
  return { state: { first: before.first, next, bytes, timestamp }, grown }
}

/** The offset of each group's first record, or why nothing was written. */
export const appendChunks = (
  store: Store,
  call: AppendCall,
  footprintMax: number,
): ReadonlyArray<number> | LogFailure => {
  const chunks = call.groups.flatMap((group) => group.chunks)
  const wanted = chunks.reduce((sum, { start, end }) => sum + footprint(end - start), 0)
  const used = readFootprint(store)
  if (used + wanted > footprintMax) {
    return new LogFailure(
      "full",
      `The log is full: ${used} of ${footprintMax} bytes are used, ${wanted} more wanted.`,
    )
  }
  let grown = 0
  const offsets = call.groups.map((group) => {
    const key = partitionStateKey(group)
    const before = readPartitionState(store.partitions.get(key))
    const appended = appendGroup(store, call, group, before)
    store.partitions.put(key, writePartitionState(appended.state))
    grown += appended.grown
    return before.next
  })
  writeFootprint(store, used + grown)
  return offsets
}
