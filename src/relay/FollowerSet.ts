// Followers of one partition by request, and the one loop that runs for every token: an entry that
// nobody here follows costs one map lookup. Events are given once a batch, not once a token.
import type { TokenFrame } from "../../schemas/types.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import type { Follower } from "./Follower.ts"

export class FollowerSet {
  readonly #byRequest = new Map<string, Array<Follower>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(follower: Follower): void {
    const others = this.#byRequest.get(follower.requestId)
    if (others === undefined) this.#byRequest.set(follower.requestId, [follower])
    else others.push(follower)
    this.#size += 1
  }

  delete(follower: Follower): void {
    const all = this.#byRequest.get(follower.requestId)
    const index = all === undefined ? -1 : all.indexOf(follower)
    if (all === undefined || index < 0) return
    if (all.length === 1) this.#byRequest.delete(follower.requestId)
    else all.splice(index, 1)
    this.#size -= 1
  }

  /** A copy, so that those in it may leave meanwhile. */
  all(): ReadonlyArray<Follower> {
    return [...this.#byRequest.values()].flat()
  }

  /**
   * Folds frames, which continue where the last ones ended, into whoever follows their requests;
   * then gives each its events. Those who got enough leave the set; `next` is the offset after the
   * frames. A damaged frame says nothing to anybody: who misses a part by it is told by its own
   * gap. Returns how many entries were a losing attempt's.
   */
  feed(frames: ReadonlyArray<ReadRecord<TokenFrame>>, next: number): number {
    if (this.#size === 0) return 0
    let fenced = 0
    const touched = new Set<Follower>()
    for (const { offset, value: frame } of frames) {
      if (frame === null) continue
      for (const entry of frame.entries) {
        const followers = this.#byRequest.get(entry.requestId)
        if (followers === undefined) continue
        if (followers[0]?.isFenced(frame.writer, entry)) fenced++
        for (const follower of followers) {
          if (offset < follower.offset) continue
          follower.take(frame.writer, entry)
          touched.add(follower)
        }
      }
    }
    for (const follower of touched) {
      follower.offset = Math.max(follower.offset, next)
      if (follower.deliver() !== "following") this.delete(follower)
    }
    return fenced
  }
}
