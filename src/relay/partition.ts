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

  onFrames(frames: ReadonlyArray<ReadRecord<TokenFrame>>): void {
    this.#offset = nextOffset(frames, this.#offset)
    this.#live.feed(frames, this.#offset)
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
