// Shares partitions out among a group's members: pure, the same for the same input in every
// process. Of each topic a member gets its part in proportion to its slots, to a partition; what
// does not divide goes to whoever has got least over the topics before. What a member holds it
// keeps as far as its part goes, so that few partitions move.
import type { TopicPartition } from "../Log.ts"
import { partitionKey } from "../partitionKey.ts"

export interface Claimant {
  readonly id: string
  readonly slots: number
  readonly topics: ReadonlyArray<string>
}

export type Assignment = Readonly<Record<string, ReadonlyArray<TopicPartition>>>

interface Share {
  readonly claimant: Claimant
  readonly held: Array<TopicPartition>
  /** Partitions due to it by its slots, over the topics so far, less those it was allotted. */
  due: number
}

/** A member with no slot would own nothing and wait for ever: it counts as one. */
const weight = ({ claimant }: Share): number => Math.max(1, claimant.slots)

/** How many partitions of a topic each of its subscribers gets; they sum to `count`. */
const allot = (subscribers: ReadonlyArray<Share>, count: number): ReadonlyMap<Share, number> => {
  const total = subscribers.reduce((sum, share) => sum + weight(share), 0)
  const parts = new Map<Share, number>()
  let rest = count
  for (const share of subscribers) {
    const exact = (count * weight(share)) / total
    parts.set(share, Math.floor(exact))
    share.due += exact - Math.floor(exact)
    rest -= Math.floor(exact)
  }
  const neediest = subscribers.toSorted(
    (a, b) => b.due - a.due || (a.claimant.id < b.claimant.id ? -1 : 1),
  )
  for (const share of neediest.slice(0, rest)) {
    parts.set(share, (parts.get(share) ?? 0) + 1)
    share.due -= 1
  }
  return parts
}

const assignTopic = (
  subscribers: ReadonlyArray<Share>,
  partitions: ReadonlyArray<TopicPartition>,
  previous: Assignment,
): void => {
  const room = new Map(allot(subscribers, partitions.length))
  const free = new Map(partitions.map((partition) => [partitionKey(partition), partition]))
  const give = (share: Share, partition: TopicPartition) => {
    free.delete(partitionKey(partition))
    share.held.push(partition)
    room.set(share, (room.get(share) ?? 0) - 1)
  }
  for (const share of subscribers) {
    for (const partition of previous[share.claimant.id] ?? []) {
      const isFree = free.has(partitionKey(partition))
      if (isFree && (room.get(share) ?? 0) > 0) give(share, partition)
    }
  }
  for (const partition of free.values()) {
    const share = subscribers.find((one) => (room.get(one) ?? 0) > 0)
    if (share !== undefined) give(share, partition)
  }
}

/** `partitions` are ordered by topic; a topic that nobody subscribes to goes to nobody. */
export const assign = (
  claimants: ReadonlyArray<Claimant>,
  partitions: ReadonlyArray<TopicPartition>,
  previous: Assignment,
): Assignment => {
  const shares = claimants
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map((claimant): Share => ({ claimant, held: [], due: 0 }))
  for (const topic of new Set(partitions.map((partition) => partition.topic))) {
    const subscribers = shares.filter(({ claimant }) => claimant.topics.includes(topic))
    const ofTopic = partitions.filter((partition) => partition.topic === topic)
    if (subscribers.length > 0) assignTopic(subscribers, ofTopic, previous)
  }
  return Object.fromEntries(shares.map(({ claimant, held }) => [claimant.id, held]))
}
