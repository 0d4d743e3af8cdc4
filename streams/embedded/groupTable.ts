// Consumer groups of a data folder: their states and what they have committed. Changes are made
// within a write transaction, so that they have one order over all processes.
import { partitionKey } from "../partitionKey.ts"
import type { Fence } from "../group/GroupStore.ts"
import { changeGroup, emptyGroup, type GroupChange, type GroupState } from "../group/groupState.ts"
import type { Commit, TopicPartition } from "../Log.ts"
import type { Store } from "./Store.ts"
import { readTopic } from "./topicTable.ts"

const groupKey = (group: string): Buffer => Buffer.from(group)

const commitKey = (group: string, partition: TopicPartition): Buffer =>
  Buffer.from(`${group} ${partitionKey(partition)}`)

/** As bytes, so that whoever asks often can see that nothing changed without parsing it. */
export const readGroupBytes = (store: Store, group: string): Buffer | null =>
  store.groups.get(groupKey(group)) ?? null

export const parseGroup = (bytes: Buffer | null): GroupState =>
  bytes === null ? emptyGroup : JSON.parse(bytes.toString())

export const readCommitted = (
  store: Store,
  group: string,
  partition: TopicPartition,
): number | null => {
  const bytes = store.commits.get(commitKey(group, partition))
  return bytes === undefined ? null : bytes.readDoubleLE(0)
}

export const writeGroupChange = (store: Store, group: string, change: GroupChange): GroupState => {
  const before = parseGroup(readGroupBytes(store, group))
  const width = (topic: string) => readTopic(store, topic)?.spec.partitions ?? 0
  const state = changeGroup(before, change, width)
  if (state !== before) store.groups.put(groupKey(group), Buffer.from(JSON.stringify(state)))
  return state
}

export const writeCommits = (store: Store, fence: Fence, commits: ReadonlyArray<Commit>): void => {
  const { generation } = parseGroup(readGroupBytes(store, fence.group))
  if (generation !== fence.generation) return
  for (const commit of commits) {
    if ((readCommitted(store, fence.group, commit) ?? -1) >= commit.offset) continue
    const value = Buffer.allocUnsafe(8)
    value.writeDoubleLE(commit.offset, 0)
    store.commits.put(commitKey(fence.group, commit), value)
  }
}
