// Log.consume over a GroupStore: joins, beats, notices members that are gone, leaves with the
// scope. A member that was taken for dead (its process was stopped for a while) finds itself
// missing and joins again, with a new epoch.
import { Clock, Effect, Schedule, type Scope } from "effect"
import { noSuchTopic, type RecordSource } from "../follow/RecordSource.ts"
import type { Followers } from "../follow/Followers.ts"
import type { Consumer, ConsumerOptions, LogError } from "../Log.ts"
import { GroupMember } from "./GroupMember.ts"
import type { GroupStore } from "./GroupStore.ts"
import { here, isGone } from "./processPlace.ts"

export interface GroupTimes {
  /** A member says that it lives. */
  readonly heartbeatMs: number
  /** Members look after each other: a process that is gone is noticed within it. */
  readonly checkMs: number
  /** A member not seen for so long has lost its partitions. */
  readonly sessionMs: number
}

export const groupTimes: GroupTimes = { heartbeatMs: 1000, checkMs: 250, sessionMs: 10_000 }

export interface GroupWorld {
  readonly store: GroupStore
  readonly source: RecordSource
  readonly followers: Followers
  /** Members of this process: whoever learns that groups changed calls their `refresh`. */
  readonly members: Set<GroupMember>
  readonly times: GroupTimes
}

const join = Effect.fnUntraced(function* (world: GroupWorld, member: GroupMember) {
  const at = yield* Clock.currentTimeMillis
  const entered = member.asMember(at)
  yield* world.store.change(member.group, { kind: "join", member: entered })
})

const beat = Effect.fnUntraced(function* (world: GroupWorld, member: GroupMember, id: string) {
  const at = yield* Clock.currentTimeMillis
  yield* world.store.change(member.group, { kind: "beat", id, at })
})

/**
 * Takes the partitions from members that are gone, and enters this one again where it was taken for
 * one.
 */
const check = Effect.fnUntraced(function* (world: GroupWorld, member: GroupMember) {
  const at = yield* Clock.currentTimeMillis
  const seenBefore = at - world.times.sessionMs
  const { members } = world.store.state(member.group)
  const dead = members.map((one) => one.process).filter((one) => isGone(one))
  if (dead.length > 0 || members.some(({ seenAt }) => seenAt < seenBefore)) {
    yield* world.store.change(member.group, { kind: "evict", dead, seenBefore })
  }
  if (!member.refresh()) yield* join(world, member)
})

export const consumeGroup = Effect.fn("Log.consume")(function* (
  world: GroupWorld,
  options: ConsumerOptions,
): Effect.fn.Return<Consumer, LogError, Scope.Scope> {
  for (const topic of options.topics) {
    if (world.source.partitions(topic) === null) return yield* noSuchTopic(topic)
  }
  const { store, source, followers, members, times } = world
  const member = new GroupMember({ consumer: options, store, source, followers, process: here })
  const leave = Effect.suspend(() => {
    members.delete(member)
    member.close()
    return Effect.ignore(store.change(options.group, { kind: "leave", id: options.member }))
  })
  yield* Effect.acquireRelease(join(world, member), () => leave)
  // The caller has the consumer in hand before its handler hears of the first assignment.
  setImmediate(() => {
    if (member.closed) return
    members.add(member)
    member.refresh()
  })
  const orFail = Effect.catch((error: LogError) => Effect.sync(() => member.fail(error)))
  yield* Effect.forkScoped(
    beat(world, member, options.member).pipe(
      Effect.schedule(Schedule.spaced(times.heartbeatMs)),
      orFail,
    ),
  )
  yield* Effect.forkScoped(
    check(world, member).pipe(Effect.schedule(Schedule.spaced(times.checkMs)), orFail),
  )
  return member
})
