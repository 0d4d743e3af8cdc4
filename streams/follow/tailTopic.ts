// Log.tail over a store in this process: one follower a partition, closed with the scope.
import { Effect, type Scope } from "effect"
import { type LogError, type TailOptions } from "../Log.ts"
import type { Followers } from "./Followers.ts"
import { belowFirst, noSuchTopic, type RecordSource } from "./RecordSource.ts"

/** Where a tail starts in each partition; those not named start at their end. */
const starts = (source: RecordSource, options: TailOptions): Array<number> | LogError => {
  const count = source.partitions(options.topic)
  if (count === null) return noSuchTopic(options.topic)
  const offsets: Array<number> = []
  for (let partition = 0; partition < count; partition++) {
    const at = { topic: options.topic, partition }
    const bounds = source.bounds(at)
    if (!("first" in bounds)) return bounds
    const offset =
      options.from === "end" ? bounds.next : (options.from.get(partition) ?? bounds.next)
    if (offset < bounds.first) return belowFirst(at, offset, bounds.first)
    offsets.push(offset)
  }
  return offsets
}

const followAll = (
  followers: Followers,
  options: TailOptions,
  offsets: ReadonlyArray<number>,
): (() => void) => {
  let failed = false
  const followed = offsets.map((offset, partition) =>
    followers.follow({
      partition: { topic: options.topic, partition },
      offset,
      overtaken: "fail",
      onRecords: (records) => options.onRecords({ topic: options.topic, partition }, records),
      onError: (error) => {
        const first = !failed
        failed = true
        close()
        if (first) options.onError(error)
      },
    }),
  )
  const close = () => {
    for (const follower of followed) follower.close()
  }
  return close
}

export const tailTopic = Effect.fn("Log.tail")(function* (
  source: RecordSource,
  followers: Followers,
  options: TailOptions,
): Effect.fn.Return<void, LogError, Scope.Scope> {
  const offsets = starts(source, options)
  if (!("length" in offsets)) return yield* offsets
  yield* Effect.acquireRelease(
    Effect.sync(() => followAll(followers, options, offsets)),
    (close) => Effect.sync(close),
  )
})
