// The log in memory, for tests: it keeps the contract of Log.ts within one process and forgets
// everything with its scope. Acknowledgements come in a later turn of the event loop, as from a
// real log, so that no caller learns to lean on an immediate answer.
import { Clock, Effect, Layer, Schedule, type Scope } from "effect"
import {
  belowFirst,
  noSuchPartition,
  noSuchTopic,
  type RecordSource,
} from "../follow/RecordSource.ts"
import { partitionKey } from "../partitionKey.ts"
import { Followers } from "../follow/Followers.ts"
import { tailTopic } from "../follow/tailTopic.ts"
import { consumeGroup, type GroupTimes, groupTimes } from "../group/consumeGroup.ts"
import type { GroupMember } from "../group/GroupMember.ts"
import type { GroupStore } from "../group/GroupStore.ts"
import { changeGroup, emptyGroup, type GroupState } from "../group/groupState.ts"
import {
  awaited,
  Log,
  LogError,
  type OnAppended,
  type TopicPartition,
  type TopicSpec,
} from "../Log.ts"
import { LogFailure } from "../LogFailure.ts"
import { topicToWrite } from "../topicToWrite.ts"
import { MemoryPartition } from "./MemoryPartition.ts"

export interface MemoryLogOptions {
  readonly retentionEveryMs: number
  readonly groupTimes: GroupTimes
}

class MemoryStore implements RecordSource {
  readonly topics = new Map<string, TopicSpec>()
  readonly #partitions = new Map<string, MemoryPartition>()

  create(spec: TopicSpec): void {
    this.topics.set(spec.name, spec)
    for (let partition = 0; partition < spec.partitions; partition++) {
      const key = partitionKey({ topic: spec.name, partition })
      const there = this.#partitions.get(key)
      if (there === undefined) this.#partitions.set(key, new MemoryPartition(spec))
      else there.respecify(spec)
    }
  }

  at(partition: TopicPartition): MemoryPartition | LogError {
    if (!this.topics.has(partition.topic)) return noSuchTopic(partition.topic)
    return this.#partitions.get(partitionKey(partition)) ?? noSuchPartition(partition)
  }

  retain(now: number): void {
    for (const partition of this.#partitions.values()) partition.retain(now)
  }

  readonly partitions = (topic: string) => this.topics.get(topic)?.partitions ?? null

  readonly bounds = (partition: TopicPartition) => {
    const found = this.at(partition)
    return found instanceof LogError ? found : found.bounds
  }

  readonly read = (partition: TopicPartition, offset: number, bytesMax: number) => {
    const found = this.at(partition)
    if (found instanceof LogError) return found
    const { first } = found.bounds
    return offset < first ? belowFirst(partition, offset, first) : found.read(offset, bytesMax)
  }
}

class MemoryGroups implements GroupStore {
  readonly members = new Set<GroupMember>()
  readonly #states = new Map<string, GroupState>()
  readonly #committed = new Map<string, number>()
  readonly #width: (topic: string) => number

  constructor(source: RecordSource) {
    this.#width = (topic) => source.partitions(topic) ?? 0
  }

  readonly state: GroupStore["state"] = (group) => this.#states.get(group) ?? emptyGroup

  readonly change: GroupStore["change"] = (group, change) =>
    Effect.sync(() => {
      const before = this.state(group)
      const state = changeGroup(before, change, this.#width)
      this.#states.set(group, state)
      if (state.generation !== before.generation) {
        setImmediate(() => this.members.forEach((member) => member.refresh()))
      }
      return state
    })

  readonly commit: GroupStore["commit"] = ({ group, generation }, commits) =>
    Effect.sync(() => {
      if (this.state(group).generation !== generation) return
      for (const commit of commits) {
        const key = `${group} ${partitionKey(commit)}`
        this.#committed.set(key, Math.max(commit.offset, this.#committed.get(key) ?? 0))
      }
    })

  readonly committed: GroupStore["committed"] = (group, partition) =>
    this.#committed.get(`${group} ${partitionKey(partition)}`) ?? null
}

const createTopics = Effect.fn("Log.createTopics")(function* (
  store: MemoryStore,
  specs: ReadonlyArray<TopicSpec>,
): Effect.fn.Return<void, LogError> {
  for (const spec of specs) {
    const written = topicToWrite(store.topics.get(spec.name) ?? null, spec)
    if (written instanceof LogFailure) return yield* new LogError(written)
    if (written !== null) store.create(written)
  }
})

const orFail = <A extends object | number>(value: A | LogError): Effect.Effect<A, LogError> =>
  value instanceof LogError ? Effect.fail(value) : Effect.succeed(value)

const make = Effect.fnUntraced(function* (
  options: MemoryLogOptions,
): Effect.fn.Return<Log["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const store = new MemoryStore()
  const groups = new MemoryGroups(store)
  const followers = new Followers(store)
  const { members } = groups
  const world = { store: groups, source: store, followers, members, times: options.groupTimes }
  yield* Effect.sync(() => store.retain(clock.currentTimeMillisUnsafe())).pipe(
    Effect.schedule(Schedule.spaced(options.retentionEveryMs)),
    Effect.forkScoped,
  )
  const appendThen: Log["Service"]["appendThen"] = (partition, records, done: OnAppended) => {
    const found = store.at(partition)
    const now = clock.currentTimeMillisUnsafe()
    const offset = found instanceof LogError ? -1 : found.append(records, now)
    setImmediate(() => {
      done(found instanceof LogError ? found : null, offset)
      followers.wake(partition)
    })
  }
  return Log.of({
    createTopics: (specs) => createTopics(store, specs),
    topics: Effect.sync(() => [...store.topics.values()]),
    appendThen,
    append: awaited(appendThen),
    read: (partition, offset, bytesMax) =>
      Effect.suspend(() => orFail(store.read(partition, offset, bytesMax))),
    bounds: (partition) => Effect.suspend(() => orFail(store.bounds(partition))),
    offsetAt: (partition, timestamp) =>
      Effect.suspend(() => orFail(store.at(partition))).pipe(
        Effect.map((found) => found.offsetAt(timestamp)),
      ),
    tail: (tail) => tailTopic(store, followers, tail),
    consume: (consumer) => consumeGroup(world, consumer),
    committed: (group, partition) => Effect.sync(() => groups.committed(group, partition)),
  })
})

export const memoryLog = (options: MemoryLogOptions): Layer.Layer<Log> =>
  Layer.effect(Log, make(options))

export const layerMemory: Layer.Layer<Log> = memoryLog({ retentionEveryMs: 1000, groupTimes })
