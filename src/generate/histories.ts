// Reads what the token log already says of requests that somebody may have worked on. All that wait
// are read together, one range read a token partition, and each read goes on until it has reached
// the tail, which feeds the folds from there: no frame is missed or applied twice.
//
//   token partition  ----[ earliest request - slack ...... tail ]---- live frames ----
//                         range read, into each History      |  the tail, into the same
import { Effect, Queue } from "effect"
import type { TokenFrame } from "../../schemas/types.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { requestTime } from "../../streams/requestId.ts"
import { History } from "./adopt.ts"
import type { InFlight } from "./inFlight.ts"

/** Logs' clocks may differ by so much between a request's record and its first entry. */
const slackMs = 5_000

/** Nobody waits for longer with an append. */
const settledAheadMsMax = 3_600_000

const retriesMax = 3

export interface HistoryOptions {
  readonly wanted: Queue.Dequeue<InFlight>
  readonly offsetAt: (partition: number, timestamp: number) => Effect.Effect<number, LogError>
  /** Empty at the end of the log. */
  readonly read: (
    partition: number,
    offset: number,
  ) => Effect.Effect<ReadonlyArray<ReadRecord<TokenFrame>>, LogError>
  /** Where the tail stands: every frame below it was seen. */
  readonly tailNext: (partition: number) => number
  /** The item has its history. Called in one turn with the tail's own calls. */
  readonly onRead: (item: InFlight) => void
  readonly turn: () => void
}

/** Runs until the token log cannot be read any more. */
export const readHistories = Effect.fn("Worker.readHistories")(function* (options: HistoryOptions) {
  for (;;) {
    const items = (yield* Queue.takeAll(options.wanted)).filter((item) => item.isHeld)
    const groups = Map.groupBy(items, (item) => item.tokenPartition)
    for (const [partition, group] of groups) {
      // Retention may overtake a read; what it took cannot be of a request that still waits.
      yield* readGroup(options, partition, group).pipe(
        Effect.retry({ while: (error) => error.reason === "outOfRange", times: retriesMax }),
      )
    }
  }
})

const readGroup = Effect.fn("Worker.readHistory")(function* (
  options: HistoryOptions,
  partition: number,
  items: ReadonlyArray<InFlight>,
) {
  const histories = new Map(
    items.map((item) => [item.request.requestId, new History(item.request)]),
  )
  const since = Math.min(...items.map(firstSeen))
  let next = yield* options.offsetAt(partition, since - slackMs)
  while (next < options.tailNext(partition)) {
    const frames = yield* options.read(partition, next)
    if (frames.length === 0) next = options.tailNext(partition)
    for (const { offset, value: frame } of frames) {
      next = offset + 1
      if (frame === null) continue
      for (const entry of frame.entries) histories.get(entry.requestId)?.apply(frame, entry)
    }
  }
  for (const item of items) {
    const history = histories.get(item.request.requestId)
    if (!item.isHeld || history === undefined) continue
    history.next = next
    item.history = history
    options.onRead(item)
  }
  options.turn()
})

/**
 * Nothing of a request is older than its first record, but for the entry that settles one whose
 * gateway was given up: that is younger than the id. An id that names a far older time was not made
 * by a gateway.
 */
const firstSeen = (item: InFlight): number => {
  const recordedAt = Math.min(...item.origins.map(({ timestamp }) => timestamp))
  const madeAt = requestTime(item.request.requestId)
  return madeAt > recordedAt - settledAheadMsMax ? Math.min(recordedAt, madeAt) : recordedAt
}
