// What the thread that reads asks of the thread that writes, and the answers: plain data made for
// the crossing. One call is one transaction; calls are done in the order in which they are sent.
import type { Fence } from "../group/GroupStore.ts"
import type { GroupChange, GroupState } from "../group/groupState.ts"
import type { Commit, TopicSpec } from "../Log.ts"
import type { LogFailure } from "../LogFailure.ts"

export interface WriterData {
  readonly folder: string
  readonly mapBytes: number
}

/**
 * Records of one partition that follow one another, cut into chunks with room for their headers.
 */
export interface ChunkGroup {
  readonly topicId: number
  readonly partition: number
  readonly chunks: ReadonlyArray<{
    readonly start: number
    readonly end: number
    readonly count: number
    /**
     * The record's key where the topic is compacted (a chunk then has one record); null elsewhere.
     */
    readonly key: string | null
  }>
}

export interface AppendCall {
  readonly kind: "append"
  readonly now: number
  /** Transferred, not copied. */
  readonly bytes: ArrayBuffer
  readonly groups: ReadonlyArray<ChunkGroup>
}

export type WriterCall =
  | AppendCall
  | { readonly kind: "createTopics"; readonly specs: ReadonlyArray<TopicSpec> }
  | { readonly kind: "changeGroup"; readonly group: string; readonly change: GroupChange }
  | { readonly kind: "commit"; readonly fence: Fence; readonly commits: ReadonlyArray<Commit> }
  | { readonly kind: "retain"; readonly now: number }
  | { readonly kind: "close" }

export interface WriterReply {
  /** null: done. Then what the call's kind gives is set. A plain object: no class crosses. */
  readonly failure: Pick<LogFailure, "reason" | "message"> | null
  /** append: the offset of each group's first record. */
  readonly offsets: ReadonlyArray<number>
  /** changeGroup: the state after it. */
  readonly group: GroupState
  /** retain: there is more to delete. */
  readonly more: boolean
}
