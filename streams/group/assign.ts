// Shares partitions out among a group's members: pure, the same for the same input in every
// process. Each member gets its part in proportion to its slots, to a partition; what a member
// holds it keeps as far as its part goes, so that as few partitions as possible move.
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
  readonly quota: number
  readonly held: Array<TopicPartition>
}

/** Whole parts that sum to `count`, by largest remainder; equal remainders go by id. */
const quotas = (claimants: ReadonlyArray<Claimant>, count: number): ReadonlyArray<number> => {
  const slots = claimants.reduce((sum, claimant) => sum + Math.max(1, claimant.slots), 0)
  const exact = claimants.map((claimant) => (count * Math.max(1, claimant.slots)) / slots)
  const parts = exact.map(Math.floor)
  const rest = count - parts.reduce((sum, part) => sum + part, 0)
  const byRemainder = exact
    .map((part, index) => ({ index, remainder: part - Math.floor(part) }))
    .sort((a, b) => b.remainder - a.remainder || a.index - b.index)
  for (const { index } of byRemainder.slice(0, rest)) parts[index] = (parts[index] ?? 0) + 1
  return parts
}

const holds = (share: Share, topic: string): number =>
  share.held.filter((partition) => partition.topic === topic).length

/**
 * Whoever subscribes and is furthest below its part; among equals the one with the least of this
 * topic, so that no member gets all of one tier. Where all are at their part (members differ in
 * topics), the least laden one.
 */
const taker = (shares: ReadonlyArray<Share>, partition: TopicPartition): Share | undefined =>
  shares
    .filter(({ claimant }) => claimant.topics.includes(partition.topic))
    .sort(
      (a, b) =>
        Number(a.held.length >= a.quota) - Number(b.held.length >= b.quota) ||
        holds(a, partition.topic) / Math.max(1, a.claimant.slots) -
          holds(b, partition.topic) / Math.max(1, b.claimant.slots) ||
        a.held.length / Math.max(1, a.quota) - b.held.length / Math.max(1, b.quota) ||
        (a.claimant.id < b.claimant.id ? -1 : 1),
    )[0]

export const assign = (
  claimants: ReadonlyArray<Claimant>,
  partitions: ReadonlyArray<TopicPartition>,
  previous: Assignment,
): Assignment => {
  const sorted = [...claimants].sort((a, b) => (a.id < b.id ? -1 : 1))
  const parts = quotas(sorted, partitions.length)
  const shares = sorted.map((claimant, index): Share => {
    return { claimant, quota: parts[index] ?? 0, held: [] }
  })
  const taken = new Set<string>()
  const known = new Set(partitions.map(partitionKey))
  for (const { claimant, quota, held } of shares) {
    for (const partition of previous[claimant.id] ?? []) {
      const key = partitionKey(partition)
      const wanted = known.has(key) && claimant.topics.includes(partition.topic)
      if (!wanted || taken.has(key) || held.length >= quota) continue
      taken.add(key)
      held.push(partition)
    }
  }
  for (const partition of partitions) {
    if (taken.has(partitionKey(partition))) continue
    taker(shares, partition)?.held.push(partition)
  }
  return Object.fromEntries(shares.map(({ claimant, held }) => [claimant.id, held]))
}
