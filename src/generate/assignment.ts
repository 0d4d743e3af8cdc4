// The request partitions that are this worker's now: how far each is done, which of its records
// nobody can have touched before, and whether it is paused. A partition that is kept over a new
// assignment keeps its watermark; one that is lost is forgotten, so its completions go nowhere.
import type { Tier } from "../../schemas/types.ts"
import type { Commit, TopicPartition } from "../../streams/Log.ts"
import type { InFlight, Origin } from "./inFlight.ts"
import { Watermark } from "./watermark.ts"

export interface Owned extends TopicPartition {
  readonly tier: Tier
  readonly watermark: Watermark
  /** Records from here on were appended after the assignment; Infinity until it is known. */
  freshFrom: number
}

const keyOf = ({ topic, partition }: TopicPartition) => `${topic}/${partition}`

export class Assignment {
  readonly #tierOf: ReadonlyMap<string, Tier>
  #owned = new Map<string, Owned>()
  #epoch = 0

  constructor(tierOf: ReadonlyMap<string, Tier>) {
    this.#tierOf = tierOf
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The whole new assignment. Returns what of it has its end to be looked up: all. */
  assign(epoch: number, partitions: ReadonlyArray<TopicPartition>): ReadonlyArray<Owned> {
    const owned = new Map<string, Owned>()
    for (const partition of partitions) {
      const tier = this.#tierOf.get(partition.topic)
      if (tier === undefined) continue
      const key = keyOf(partition)
      const watermark = this.#owned.get(key)?.watermark ?? new Watermark()
      // A commit that was under way belonged to an epoch that is over: it may have been dropped.
      watermark.untake()
      // One that is kept may have been somebody else's in between, as after a process was stopped.
      owned.set(key, { ...partition, tier, watermark, freshFrom: Infinity })
    }
    this.#owned = owned
    this.#epoch = epoch
    return [...owned.values()]
  }

  owned(partition: TopicPartition): Owned | undefined {
    return this.#owned.get(keyOf(partition))
  }

  /** True while this worker has to see the request through. */
  isOurs(item: InFlight): boolean {
    return item.origins.some((origin) => this.#owned.has(keyOf(origin)))
  }

  done(origins: ReadonlyArray<Origin>): void {
    for (const origin of origins) this.owned(origin)?.watermark.done(origin.offset)
  }

  /** What may be committed and was not yet. */
  takeCommits(): ReadonlyArray<Commit> {
    const commits: Array<Commit> = []
    for (const { topic, partition, watermark } of this.#owned.values()) {
      const offset = watermark.take()
      if (offset !== null) commits.push({ topic, partition, offset })
    }
    return commits
  }

  /** They could not be committed: they are taken again. */
  untakeCommits(): void {
    for (const { watermark } of this.#owned.values()) watermark.untake()
  }

  ofTier(tier: Tier): ReadonlyArray<Owned> {
    return [...this.#owned.values()].filter((owned) => owned.tier === tier)
  }

  get partitions(): ReadonlyArray<Owned> {
    return [...this.#owned.values()]
  }
}
