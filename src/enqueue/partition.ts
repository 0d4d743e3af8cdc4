// Which partition of its tier's topic a request goes to. Requests that share a prompt-cache key, or
// the beginning of their prompt, go to one partition, so that one worker's prefix cache serves
// them; unless its owner is not well or deep in work: then to the less loaded of two others.
import type { RequestAccepted, WorkerStatus } from "../../schemas/types.ts"
import { hashText } from "../../streams/topics.ts"
import { isWell } from "./workerStates.ts"

/**
 * Two KV blocks: shorter beginnings are shared by strangers, longer ones differ within a family.
 */
const prefixIds = 32
/** Requests that wait at an owner, for each of its slots, before others are asked. */
const waitingPerSlotMax = 1

export interface Placing {
  readonly partitions: number
  /** null: nobody alive owns it. */
  readonly ownerOf: (partition: number) => WorkerStatus | null
  /** Requests of this gateway that are outstanding there. */
  readonly requestsOf: (partition: number) => number
}

export interface Placed {
  readonly partition: number
  readonly key: string
}

/** What requests that should meet have in common. */
export const affinityKey = (request: Pick<RequestAccepted, "promptCacheKey" | "prompts">): string =>
  request.promptCacheKey ??
  `prefix-${hashText((request.prompts[0] ?? []).slice(0, prefixIds).join(" ")).toString(16)}`

const takesMore = (owner: WorkerStatus) =>
  isWell(owner) && owner.requestsWaiting <= owner.slots * waitingPerSlotMax

/** Requests for each slot; a partition without an owner who is well comes last. */
const loadOf = ({ ownerOf, requestsOf }: Placing, partition: number): number => {
  const owner = ownerOf(partition)
  if (owner === null || !isWell(owner)) return Infinity
  const requests = owner.requestsRunning + owner.requestsWaiting + requestsOf(partition)
  return requests / Math.max(1, owner.slots)
}

/** Whatever the workers' state: where every gateway would send it. */
export const homePartition = (key: string, partitions: number): Placed => ({
  partition: hashText(key) % partitions,
  key,
})

export const choosePartition = (key: string, placing: Placing): Placed => {
  const { partitions, ownerOf } = placing
  const atHome = homePartition(key, partitions)
  const home = atHome.partition
  const owner = ownerOf(home)
  if (partitions === 1 || (owner !== null && takesMore(owner))) return atHome
  const others = [hashText(`${key} 1`), hashText(`${key} 2`)].map(
    (other) => (home + 1 + (other % (partitions - 1))) % partitions,
  )
  const [first = home, second = home] = others
  const less = loadOf(placing, second) < loadOf(placing, first) ? second : first
  return { partition: loadOf(placing, less) === Infinity ? home : less, key }
}
