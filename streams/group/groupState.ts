// A consumer group as data, and every way in which it changes: pure, so that a store applies a
// change in one transaction and all members see the same. The generation counts memberships;
// whoever holds an older one has been overtaken and commits nothing.
import type { TopicPartition } from "../Log.ts"
import { assign, type Assignment, type Claimant } from "./assign.ts"

/**
 * A process, as far as others can tell whether it lives: pids mean something within one host only.
 */
export interface ProcessPlace {
  readonly host: string
  readonly pid: number
}

export interface Member extends Claimant {
  readonly process: ProcessPlace
  /** ms since the epoch of its last sign of life. */
  readonly seenAt: number
}

export interface GroupState {
  readonly generation: number
  readonly members: ReadonlyArray<Member>
  readonly assignment: Assignment
}

export type GroupChange =
  | { readonly kind: "join"; readonly member: Member }
  | { readonly kind: "beat"; readonly id: string; readonly at: number }
  | { readonly kind: "leave"; readonly id: string }
  /** Of members whose process is gone, or that were not seen since `seenBefore`. */
  | {
      readonly kind: "evict"
      readonly dead: ReadonlyArray<ProcessPlace>
      readonly seenBefore: number
    }

export const emptyGroup: GroupState = { generation: 0, members: [], assignment: {} }

const topicPartitions = (
  members: ReadonlyArray<Member>,
  width: (topic: string) => number,
): ReadonlyArray<TopicPartition> =>
  [...new Set(members.flatMap((member) => member.topics))]
    .sort()
    .flatMap((topic) =>
      Array.from({ length: width(topic) }, (_, partition) => ({ topic, partition })),
    )

export const isSame = (a: ProcessPlace, b: ProcessPlace): boolean =>
  a.pid === b.pid && a.host === b.host

const membersAfter = (state: GroupState, change: GroupChange): ReadonlyArray<Member> => {
  switch (change.kind) {
    case "join":
      return [...state.members.filter(({ id }) => id !== change.member.id), change.member]
    case "beat":
      return state.members.map((member) =>
        member.id === change.id ? { ...member, seenAt: change.at } : member,
      )
    case "leave":
      return state.members.filter(({ id }) => id !== change.id)
    case "evict":
      return state.members.filter(
        ({ process, seenAt }) =>
          seenAt >= change.seenBefore && !change.dead.some((one) => isSame(one, process)),
      )
  }
}

/**
 * `width` is a topic's number of partitions. A beat of a member that is none any more changes
 * nothing.
 */
export const changeGroup = (
  state: GroupState,
  change: GroupChange,
  width: (topic: string) => number,
): GroupState => {
  const members = membersAfter(state, change)
  if (change.kind === "beat") return { ...state, members }
  if (change.kind !== "join" && members.length === state.members.length) return state
  return {
    generation: state.generation + 1,
    members,
    assignment: assign(members, topicPartitions(members, width), state.assignment),
  }
}

export const assignedTo = (state: GroupState, member: string): ReadonlyArray<TopicPartition> =>
  state.assignment[member] ?? []
