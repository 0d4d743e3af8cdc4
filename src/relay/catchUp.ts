// Reads one partition's history for all who are behind it: those who resume by a cursor and those who
// were paused. One pass reads for everybody at once, from the oldest offset wanted up to the live tail,
// where its followers join. Who comes during a pass and wants older frames waits for the next pass, so
// that nobody can hold the others back; memory is one read, however many are behind.
import { Effect, Latch } from "effect"
import type { TokenFrame } from "../../schemas/types.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { type Follower, goneError } from "./Follower.ts"
import { FollowerSet } from "./FollowerSet.ts"

export interface CatchUpOptions {
  /** Frames from the offset on; none at the end. Fails with outOfRange below the first retained. */
  readonly read: (offset: number) => Effect.Effect<ReadonlyArray<ReadRecord<TokenFrame>>, LogError>
  /** The offset that the live tail gives next. */
  readonly liveOffset: () => number
  readonly live: FollowerSet
}

export interface CatchUp {
  /** The follower gets its history and then joins the live set. */
  readonly enter: (follower: Follower) => void
  readonly leave: (follower: Follower) => void
  /** Reads whenever somebody is behind; for ever. */
  readonly run: Effect.Effect<never>
}

export const nextOffset = (frames: ReadonlyArray<ReadRecord<TokenFrame>>, from: number): number => {
  const last = frames[frames.length - 1]
  return last === undefined ? from : last.offset + 1
}

const oldest = (followers: ReadonlyArray<Follower>) =>
  followers.reduce((least, { offset }) => Math.min(least, offset), Infinity)

export const makeCatchUp = ({ read, liveOffset, live }: CatchUpOptions): CatchUp => {
  const awake = Latch.makeUnsafe(false)
  const waiting = new Set<Follower>()
  const pass = new FollowerSet()

  const join = (follower: Follower, offset: number) => {
    follower.offset = Math.max(follower.offset, offset)
    pass.delete(follower)
    follower.join()
    if (follower.mode === "following") live.add(follower)
  }

  /** Those who come during a pass and are not behind it go along. */
  const admit = (offset: number) => {
    for (const follower of waiting) {
      if (follower.offset < offset) continue
      waiting.delete(follower)
      pass.add(follower)
    }
  }

  /** Retention overtook those who still need what it removed; the others start again without them. */
  const giveUp = (error: LogError, offset: number) => {
    for (const follower of pass.all()) {
      pass.delete(follower)
      if (error.reason !== "outOfRange") follower.fail(error)
      else if (follower.offset <= offset) follower.fail(goneError(follower.requestId))
      else waiting.add(follower)
    }
  }

  const step = Effect.fnUntraced(function* (offset: number) {
    admit(offset)
    const frames = yield* read(offset)
    const next = nextOffset(frames, offset)
    pass.feed(frames, next)
    // The live tail may have gone on while this was read: then what it gave is read too.
    if (next >= liveOffset()) for (const follower of pass.all()) join(follower, next)
    yield* Effect.yieldNow
    return next
  })

  const onePass = Effect.gen(function* () {
    let offset = oldest([...waiting])
    admit(offset)
    while (pass.size > 0) {
      const from = offset
      offset = yield* step(from).pipe(
        Effect.catch((error) => Effect.sync(() => (giveUp(error, from), from))),
      )
    }
  })

  return {
    enter: (follower) => {
      if (follower.offset >= liveOffset()) {
        follower.join()
        if (follower.mode === "following") live.add(follower)
        return
      }
      waiting.add(follower)
      awake.openUnsafe()
    },
    leave: (follower) => {
      waiting.delete(follower)
      pass.delete(follower)
    },
    run: Effect.forever(
      Effect.gen(function* () {
        yield* awake.await
        while (waiting.size > 0) yield* onePass
        awake.closeUnsafe()
      }),
    ),
  }
}
