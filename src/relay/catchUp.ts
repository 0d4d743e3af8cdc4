// Reads one partition's history for all who are behind it: those who resume by a cursor and those
// who were paused. One pass reads for everybody at once, from the oldest offset wanted up to the
// live tail, where its followers join; or beyond it, where the log had more when they came: their
// cursors may be of another relay that is ahead of this one. Who comes during a pass and wants
// older frames waits for the next pass, so that nobody can hold the others back; memory is one
// read, however many are behind.
import { Effect, Latch } from "effect"
import type { TokenFrame } from "../../schemas/types.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { type Follower, goneError } from "./Follower.ts"
import { FollowerSet } from "./FollowerSet.ts"

type Frames = ReadonlyArray<ReadRecord<TokenFrame>>

export interface CatchUpOptions {
  /** Frames from the offset on; none at the end. Fails with outOfRange below the first retained. */
  readonly read: (offset: number) => Effect.Effect<Frames, LogError>
  /** The offset that the live tail gives next. */
  readonly liveOffset: () => number
  readonly live: FollowerSet
}

export const nextOffset = (frames: Frames, from: number): number => {
  const last = frames[frames.length - 1]
  return last === undefined ? from : last.offset + 1
}

export class CatchUp {
  readonly #options: CatchUpOptions
  readonly #awake = Latch.makeUnsafe(false)
  readonly #waiting = new Set<Follower>()
  readonly #pass = new FollowerSet()

  constructor(options: CatchUpOptions) {
    this.#options = options
  }

  /** The follower gets its history and then joins the live set; at once where it has it all. */
  enter(follower: Follower): void {
    const end = Math.max(this.#options.liveOffset(), follower.end)
    if (follower.offset >= end) return this.#join(follower)
    this.#waiting.add(follower)
    this.#awake.openUnsafe()
  }

  leave(follower: Follower): void {
    this.#waiting.delete(follower)
    this.#pass.delete(follower)
  }

  /** Reads whenever somebody is behind; for ever. */
  run(): Effect.Effect<never> {
    return this.#awake.await.pipe(
      Effect.andThen(Effect.whileLoop(this.#passes)),
      Effect.andThen(Effect.sync(() => this.#rest())),
      Effect.forever,
    )
  }

  readonly #passes = {
    while: () => this.#waiting.size > 0,
    body: () => this.#onePass(),
    step: () => {},
  }

  /** Nobody can have come since the last look: no turn of the event loop lies between. */
  #rest(): void {
    if (this.#waiting.size === 0) this.#awake.closeUnsafe()
  }

  #onePass(): Effect.Effect<void> {
    let offset = Infinity
    for (const follower of this.#waiting) offset = Math.min(offset, follower.offset)
    this.#admit(offset)
    return Effect.whileLoop({
      while: () => this.#pass.size > 0,
      body: () => this.#step(offset),
      step: (next) => {
        offset = next
      },
    })
  }

  #step(offset: number): Effect.Effect<number> {
    this.#admit(offset)
    return this.#options.read(offset).pipe(
      Effect.map((frames) => this.#feed(frames, offset)),
      Effect.catch((error) => Effect.sync(() => this.#giveUp(error, offset))),
      Effect.tap(Effect.yieldNow),
    )
  }

  /** Those who come during a pass and are not behind it go along. */
  #admit(offset: number): void {
    for (const follower of this.#waiting) {
      if (follower.offset < offset) continue
      this.#waiting.delete(follower)
      this.#pass.add(follower)
    }
  }

  #feed(frames: Frames, offset: number): number {
    const next = nextOffset(frames, offset)
    this.#pass.feed(frames, next)
    // The live tail may have gone on while this was read: then what it gave is read too.
    if (next < this.#options.liveOffset()) return next
    for (const follower of this.#pass.all()) {
      if (next < follower.end && frames.length > 0) continue
      follower.offset = Math.max(follower.offset, next)
      this.#pass.delete(follower)
      this.#join(follower)
    }
    return next
  }

  #join(follower: Follower): void {
    follower.join()
    if (follower.mode === "following") this.#options.live.add(follower)
  }

  /**
   * Retention overtook those who still need what it removed; the others start again without them.
   */
  #giveUp(error: LogError, offset: number): number {
    for (const follower of this.#pass.all()) {
      this.#pass.delete(follower)
      if (error.reason !== "outOfRange") follower.fail(error)
      else if (follower.offset <= offset) follower.fail(goneError(follower.requestId))
      else this.#waiting.add(follower)
    }
    return offset
  }
}
