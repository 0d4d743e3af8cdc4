// One member of a consumer group: follows the partitions that the group's state gives it, each from
// its committed offset, under an epoch that counts its assignments. It holds no opinion of its own
// about who owns what: it reads the state again whenever something may have changed.
import { Effect } from "effect"
import type { Follower, Followers } from "../follow/Followers.ts"
import { type RecordSource } from "../follow/RecordSource.ts"
import { partitionKey } from "../partitionKey.ts"
import {
  type AppendRecord,
  type Commit,
  type Consumer,
  type ConsumerHandler,
  type ConsumerOptions,
  LogError,
  type TopicPartition,
} from "../Log.ts"
import type { GroupStore } from "./GroupStore.ts"
import {
  assignedTo,
  type GroupState,
  isSame,
  type Member,
  type ProcessPlace,
} from "./groupState.ts"

export interface GroupMemberOptions {
  readonly consumer: ConsumerOptions
  readonly store: GroupStore
  readonly source: RecordSource
  readonly followers: Followers
  readonly process: ProcessPlace
}

const takenOver = (member: string, pid: number) =>
  new LogError({
    reason: "fenced",
    message: `Process ${pid} has joined the group as ${member} too: ids must be unique.`,
  })

export class GroupMember implements Consumer {
  readonly #options: GroupMemberOptions
  readonly #handler: ConsumerHandler
  #epoch = 0
  #generation = 0
  #followed = new Map<string, Follower>()
  readonly #paused = new Set<string>()
  #closed = false

  constructor(options: GroupMemberOptions) {
    this.#options = options
    this.#handler = options.consumer.handler
  }

  get closed(): boolean {
    return this.#closed
  }

  get group(): string {
    return this.#options.consumer.group
  }

  readonly commit = (
    epoch: number,
    commits: ReadonlyArray<Commit>,
  ): Effect.Effect<void, LogError> =>
    Effect.suspend(() => {
      const owned = commits.filter((commit) => this.#followed.has(partitionKey(commit)))
      if (this.#closed || epoch !== this.#epoch || owned.length === 0) return Effect.void
      const { group, member } = this.#options.consumer
      return this.#options.store.commit({ group, member, generation: this.#generation }, owned)
    })

  readonly pause = (partitions: ReadonlyArray<TopicPartition>): void => {
    for (const key of partitions.map(partitionKey)) {
      if (!this.#followed.has(key)) continue
      this.#paused.add(key)
      this.#followed.get(key)?.pause()
    }
  }

  readonly resume = (partitions: ReadonlyArray<TopicPartition>): void => {
    for (const key of partitions.map(partitionKey)) {
      this.#paused.delete(key)
      this.#followed.get(key)?.resume()
    }
  }

  /**
   * Takes over what the group's state says now. False where the group does not know this member
   * (any more): it has to join again. Until then it keeps nothing.
   */
  refresh(): boolean {
    if (this.#closed) return true
    const { consumer, store } = this.#options
    const state = store.state(consumer.group)
    const self = state.members.find(({ id }) => id === consumer.member)
    if (self === undefined) {
      this.#unfollow()
      return false
    }
    if (!isSame(self.process, this.#options.process)) {
      this.fail(takenOver(consumer.member, self.process.pid))
      return true
    }
    if (state.generation !== this.#generation) this.#assign(state)
    return true
  }

  /** These may come to be delivered soon. */
  early(partition: TopicPartition, records: ReadonlyArray<AppendRecord>): void {
    const key = partitionKey(partition)
    if (this.#closed || this.#paused.has(key) || !this.#followed.has(key)) return
    this.#handler.onEarly?.(partition, records)
  }

  close(): void {
    this.#closed = true
    this.#unfollow()
  }

  asMember(at: number): Member {
    const { member, slots, topics } = this.#options.consumer
    return { id: member, process: this.#options.process, slots, topics, seenAt: at }
  }

  /** The consumer cannot go on. */
  fail(error: LogError): void {
    if (this.#closed) return
    this.close()
    this.#handler.onError(error)
  }

  #unfollow(): void {
    for (const follower of this.#followed.values()) follower.close()
    this.#followed = new Map()
    this.#generation = 0
  }

  #assign(state: GroupState): void {
    const partitions = assignedTo(state, this.#options.consumer.member)
    this.#unfollow()
    this.#generation = state.generation
    const epoch = ++this.#epoch
    const kept = new Set(partitions.map(partitionKey))
    for (const key of this.#paused) if (!kept.has(key)) this.#paused.delete(key)
    this.#handler.onAssigned(epoch, partitions)
    for (const partition of partitions) this.#follow(epoch, partition)
  }

  /**
   * From the committed offset; from the first retained where there is none or retention passed it.
   */
  #follow(epoch: number, partition: TopicPartition): void {
    if (this.#closed || epoch !== this.#epoch) return
    const { consumer, store, followers } = this.#options
    const follower = followers.follow({
      partition,
      offset: store.committed(consumer.group, partition) ?? 0,
      overtaken: "skip",
      onRecords: (records) => this.#handler.onRecords(epoch, partition, records),
      onError: (error) => this.fail(error),
    })
    const key = partitionKey(partition)
    if (this.#paused.has(key)) follower.pause()
    this.#followed.set(key, follower)
  }
}
