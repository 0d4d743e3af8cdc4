// Everybody in this process who follows a request, whichever partition it lies in: their number is
// bounded, and all are told when the log is lost.
import type { LogError } from "../../streams/Log.ts"
import { Pace } from "../telemetry/Pace.ts"
import { Follower, type FollowerOptions } from "./Follower.ts"
import type { Partition } from "./partition.ts"
import type { Subscription } from "./Relay.ts"

export class Followers {
  readonly #partitions: ReadonlyArray<Partition>
  readonly #followersMax: number
  readonly #now: () => number
  readonly #open = new Set<Follower>()
  readonly #ends = new Pace()
  #endedAt: number
  #lost: LogError | null = null

  constructor(partitions: ReadonlyArray<Partition>, followersMax: number, now: () => number) {
    this.#partitions = partitions
    this.#followersMax = followersMax
    this.#now = now
    this.#endedAt = now()
  }

  get size(): number {
    return this.#open.size
  }

  get isFull(): boolean {
    return this.#open.size >= this.#followersMax
  }

  /** How long until one of them will have ended, by how they ended lately. */
  get roomInMs(): number {
    return this.#ends.waitMs(1)
  }

  offsetOf(partition: number): number {
    return this.#partitions[partition]?.offset ?? 0
  }

  follow(options: Omit<FollowerOptions, "onOver">): Follower {
    const onOver = (follower: Follower) => {
      this.#open.delete(follower)
      const now = this.#now()
      this.#ends.took(1, now - this.#endedAt)
      this.#endedAt = now
      this.#partitions[follower.partition]?.leave(follower)
    }
    const follower = new Follower({ ...options, onOver })
    this.#open.add(follower)
    if (this.#lost !== null) follower.fail(this.#lost)
    else this.#partitions[follower.partition]?.enter(follower)
    return follower
  }

  subscription(follower: Follower): Subscription {
    return {
      close: () => follower.close(),
      resume: () => {
        if (follower.resume()) this.#partitions[follower.partition]?.enter(follower)
      },
    }
  }

  lose(error: LogError): void {
    this.#lost = error
    for (const follower of this.#open) follower.fail(error)
  }
}
