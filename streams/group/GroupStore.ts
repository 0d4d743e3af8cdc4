// What a consumer group needs of the store that holds its state: one change at a time over all
// processes, and commits that are fenced by the generation in the same transaction.
import type { Effect } from "effect"
import type { Commit, LogError, TopicPartition } from "../Log.ts"
import type { GroupChange, GroupState } from "./groupState.ts"

export interface Fence {
  readonly group: string
  readonly member: string
  readonly generation: number
}

export interface GroupStore {
  /** Atomic; gives the state after it. */
  readonly change: (group: string, change: GroupChange) => Effect.Effect<GroupState, LogError>
  readonly state: (group: string) => GroupState
  /**
   * Durable when it succeeds. Dropped as a whole where the group's generation is another; an offset
   * below the one committed already changes nothing.
   */
  readonly commit: (fence: Fence, commits: ReadonlyArray<Commit>) => Effect.Effect<void, LogError>
  readonly committed: (group: string, partition: TopicPartition) => number | null
}
