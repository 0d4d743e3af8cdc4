// One token partition as this process follows it: the live tail's position, who follows it live,
// and who still reads its history. Followers move between the two at offsets, so nothing is lost or
// doubled.
import type { TokenFrame } from "../../schemas/types.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { CatchUp, type CatchUpOptions, nextOffset } from "./catchUp.ts"
import type { Follower } from "./Follower.ts"
import { FollowerSet } from "./FollowerSet.ts"

export class Partition {
  /** The offset that the tail gives next. */
  #offset: number
  readonly #live = new FollowerSet()
  readonly catchUp: CatchUp

  constructor(offset: number, read: CatchUpOptions["read"]) {
    this.#offset = offset
    this.catchUp = new CatchUp({ read, live: this.#live, liveOffset: () => this.#offset })
  }

  get offset(): number {
    return this.#offset
  }

  /** Returns how many entries of followed requests were a losing attempt's. */
  onFrames(frames: ReadonlyArray<ReadRecord<TokenFrame>>): number {
    this.#offset = nextOffset(frames, this.#offset)
    return this.#live.feed(frames, this.#offset)
  }

  /** At the tail it follows live at once, else after its history. */
  enter(follower: Follower): void {
    this.catchUp.enter(follower)
  }

  leave(follower: Follower): void {
    this.#live.delete(follower)
    this.catchUp.leave(follower)
  }
}
