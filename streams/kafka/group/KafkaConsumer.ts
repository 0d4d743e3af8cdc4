// One member of a consumer group: joins, beats in the background whatever else goes on, follows
// what it is given, and joins again when Kafka says so. Each assignment is an epoch with its own
// generation: a commit goes out under the generation of the epoch it belongs to, so that Kafka
// itself drops what came too late. A leader or the coordinator that dies costs no rebalance.
import { setTimeout as sleep } from "node:timers/promises"
import type { Follower } from "../../follow/Followers.ts"
import type { Commit, ConsumerOptions, TopicPartition } from "../../Log.ts"
import { partitionKey } from "../../partitionKey.ts"
import type { Fetcher } from "../follow/Fetcher.ts"
import { type Cluster, persist } from "../wire/Cluster.ts"
import { BrokerError, codes, toLogError } from "../wire/errors.ts"
import type { Joined } from "../wire/requests.ts"
import { Coordinator } from "./Coordinator.ts"
import {
  decodeShare,
  encodeAdvert,
  protocolName,
  type Share,
  shareOut,
  topicsOf,
} from "./sharing.ts"
import { Vigil } from "./Vigil.ts"

export interface GroupTimes {
  readonly heartbeatMs: number
  /** A member not heard of for so long has lost its partitions. */
  readonly sessionMs: number
  /** How long a rebalance waits for members that do not join again. */
  readonly rebalanceMs: number
}

export interface KafkaConsumerOptions {
  readonly consumer: ConsumerOptions
  readonly cluster: Cluster
  readonly fetcher: Fetcher
  readonly times: GroupTimes
}

interface GenerationShare extends Share {
  readonly generation: number
}

const commitWithinMs = 10_000
const leaveWithinMs = 1000

/** Kafka drops a commit with one of these: it came too late, or from who does not own it. */
const tooLate: ReadonlySet<number | null> = new Set([
  codes.illegalGeneration,
  codes.unknownMemberId,
  codes.rebalanceInProgress,
])

export class KafkaConsumer {
  readonly #options: KafkaConsumerOptions
  readonly #coordinator: Coordinator
  #memberId = ""
  #epoch = 0
  #generation = -1
  #followers = new Map<string, Follower>()
  /** By partition: the offset committed, as far as this member knows. */
  #committed = new Map<string, number>()
  readonly #paused = new Set<string>()
  readonly #vigil: Vigil
  /** Cuts the wait for the next beat short. */
  #beatNow = () => {}
  #closed = false

  constructor(options: KafkaConsumerOptions) {
    this.#options = options
    this.#vigil = new Vigil(options.consumer.member, (memberId) => void this.#buryMember(memberId))
    this.#coordinator = new Coordinator(options.cluster, options.consumer.group)
  }

  /** Ends only when it is closed or cannot go on. */
  async run(): Promise<void> {
    const { firstMs, mostMs } = this.#options.cluster.retry
    for (let waitMs = firstMs; !this.#closed;) {
      try {
        await this.#assign(await this.#join())
        waitMs = firstMs
        await this.#beat()
      } catch (error) {
        if (this.#closed) return
        const code = error instanceof BrokerError ? error.code : undefined
        if (code === codes.unknownMemberId) this.#memberId = ""
        else if (code !== undefined && tooLate.has(code)) continue
        else if (error instanceof BrokerError && error.passing) {
          this.#coordinator.forget()
          await sleep(waitMs)
          waitMs = Math.min(mostMs, waitMs * 2)
          await this.#options.cluster.refresh().catch(() => undefined)
        } else return this.#fail(error)
      }
    }
  }

  async commit(epoch: number, commits: ReadonlyArray<Commit>): Promise<void> {
    const generation = this.#generation
    const memberId = this.#memberId
    const counted = commits.filter((commit) => {
      const key = partitionKey(commit)
      return this.#followers.has(key) && commit.offset >= (this.#committed.get(key) ?? 0)
    })
    if (this.#closed || epoch !== this.#epoch || counted.length === 0) return
    // Before they are sent: a lower offset may be committed while these are on their way.
    for (const commit of counted) this.#committed.set(partitionKey(commit), commit.offset)
    const topics = [...Map.groupBy(counted, ({ topic }) => topic)].map(([topic, list]) => ({
      topic,
      partitions: list.map(({ partition, offset }) => ({ partition, offset: `${offset}` })),
    }))
    await persist(this.#options.cluster, commitWithinMs, async () => {
      const args = { ...this.#identity(memberId), groupGenerationId: generation, topics }
      const { responses } = await this.#coordinator.call("OffsetCommit", args)
      for (const { errorCode } of responses.flatMap(({ partitions }) => partitions)) {
        if (!tooLate.has(errorCode)) this.#coordinator.check(errorCode, "commit")
      }
    })
  }

  pause(partitions: ReadonlyArray<TopicPartition>): void {
    for (const key of partitions.map(partitionKey)) {
      if (!this.#followers.has(key)) continue
      this.#paused.add(key)
      this.#followers.get(key)?.pause()
    }
  }

  resume(partitions: ReadonlyArray<TopicPartition>): void {
    for (const key of partitions.map(partitionKey)) {
      this.#paused.delete(key)
      this.#followers.get(key)?.resume()
    }
  }

  /** Its partitions go to others at once. */
  async leave(): Promise<void> {
    this.#closed = true
    this.#vigil.close()
    this.#unfollow()
    this.#coordinator.interrupt()
    if (this.#memberId !== "") {
      const left = this.#coordinator.call("LeaveGroup", this.#identity(this.#memberId))
      await Promise.race([left.catch(() => undefined), sleep(leaveWithinMs)])
    }
    this.#coordinator.close()
  }

  #identity(memberId: string) {
    return { groupId: this.#options.consumer.group, memberId }
  }

  /** The generation, and this member's part of it. */
  async #join(): Promise<GenerationShare> {
    const joined = await this.#enter()
    const leads = joined.leaderId === joined.memberId
    const groupAssignment = leads ? await this.#shareOut(joined.members) : []
    const args = { ...this.#identity(joined.memberId), generationId: joined.generationId }
    const synced = await this.#coordinator.call("SyncGroup", { ...args, groupAssignment })
    this.#coordinator.check(synced.errorCode, "sync")
    return {
      generation: joined.generationId,
      ...decodeShare(synced.memberAssignment),
    }
  }

  /** Kafka gives a new member an id first, and lets it in when it comes back with it. */
  async #enter(): Promise<Joined> {
    const { consumer, times } = this.#options
    const owned = [...this.#followers.values()].map(({ partition }) => partition)
    const { topics, slots } = consumer
    const ask = async () => {
      const post = await this.#vigil.postAt(this.#coordinator.localHost)
      const metadata = encodeAdvert({ topics, slots, owned, generation: this.#generation, post })
      return this.#coordinator.call("JoinGroup", {
        sessionTimeout: times.sessionMs,
        rebalanceTimeout: times.rebalanceMs,
        protocolType: "consumer",
        groupProtocols: [{ name: protocolName, metadata }],
        ...this.#identity(this.#memberId),
      })
    }
    let joined = await ask()
    if (joined.errorCode === codes.memberIdRequired) {
      this.#memberId = joined.memberId
      joined = await ask()
    }
    this.#coordinator.check(joined.errorCode, "join")
    this.#memberId = joined.memberId
    return joined
  }

  async #shareOut(members: Joined["members"]) {
    const widths = new Map<string, number>()
    for (const topic of topicsOf(members)) {
      widths.set(topic, (await this.#options.cluster.width(topic)) ?? 0)
    }
    return shareOut(members, (topic) => widths.get(topic) ?? 0)
  }

  async #assign({ generation, partitions, neighbours }: GenerationShare): Promise<void> {
    this.#unfollow()
    this.#committed = new Map(await this.#coordinator.committed(partitions))
    if (this.#closed) return
    this.#vigil.watch(neighbours)
    this.#generation = generation
    const epoch = ++this.#epoch
    const kept = new Set(partitions.map(partitionKey))
    for (const key of this.#paused) if (!kept.has(key)) this.#paused.delete(key)
    const { handler } = this.#options.consumer
    handler.onAssigned(epoch, partitions)
    for (const partition of partitions) {
      const key = partitionKey(partition)
      const follower = this.#options.fetcher.follow({
        partition,
        offset: this.#committed.get(key) ?? 0,
        overtaken: "skip",
        onRecords: (records) => handler.onRecords(epoch, partition, records),
        onError: (error) => this.#fail(error),
      })
      if (this.#paused.has(key)) follower.pause()
      this.#followers.set(key, follower)
    }
  }

  /** A neighbour's process is gone: Kafka need not wait for its session to run out. */
  async #buryMember(memberId: string): Promise<void> {
    const { cluster, consumer } = this.#options
    // On a connection of its own: a join on the other may be waiting for the very member.
    const coordinator = new Coordinator(cluster, consumer.group)
    try {
      // Another neighbour, or the session, may have been faster: then Kafka does not know it.
      await coordinator.call("LeaveGroup", this.#identity(memberId))
    } catch {
      // The session will tell.
    } finally {
      coordinator.close()
    }
    this.#beatNow()
  }

  /** Until Kafka wants the group to share out anew. */
  async #beat(): Promise<void> {
    const { heartbeatMs } = this.#options.times
    for (let waitMs = heartbeatMs; !this.#closed;) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#beatNow = resolve
      await Promise.race([promise, sleep(waitMs, undefined, { ref: false })])
      if (this.#closed) return
      try {
        const args = { ...this.#identity(this.#memberId), groupGenerationId: this.#generation }
        const { errorCode } = await this.#coordinator.call("Heartbeat", args)
        if (errorCode === codes.rebalanceInProgress) return
        this.#coordinator.check(errorCode, "heartbeat")
        waitMs = heartbeatMs
      } catch (error) {
        // The coordinator is being replaced: no reason to share out anew, nor to stop reading.
        if (!(error instanceof BrokerError) || !error.passing) throw error
        await this.#options.cluster.refresh().catch(() => undefined)
        waitMs = Math.min(heartbeatMs, 200)
      }
    }
  }

  #unfollow(): void {
    for (const follower of this.#followers.values()) follower.close()
    this.#followers = new Map()
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    void this.leave()
    this.#options.consumer.handler.onError(toLogError(error))
  }
}
