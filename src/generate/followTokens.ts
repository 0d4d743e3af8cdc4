// The worker's own reading of the token log, from where it ends at the start: what other workers
// and gateways say of requests that are here. Frames of its own are decoded only where it waits
// for them.
import { Effect } from "effect"
import type { Log, LogError } from "../../streams/Log.ts"
import { tokenTopic } from "../../streams/topics.ts"
import type { Core } from "./core.ts"
import { frameOf, ownFrameTest } from "./sources.ts"

export interface FollowTokensOptions {
  readonly id: string
  readonly log: Log["Service"]
  readonly core: Core
  /** By partition. */
  readonly starts: ReadonlyArray<number>
  readonly report: (line: Effect.Effect<void>) => unknown
  readonly onLogLost: (error: LogError) => void
}

export const followTokens = Effect.fn("Worker.followTokens")(function* (
  options: FollowTokensOptions,
) {
  const { id, log, core, starts, report, onLogLost } = options
  const isOwn = ownFrameTest(id)
  yield* log.tail({
    topic: tokenTopic,
    from: new Map(starts.entries()),
    onRecords: ({ partition }, records) => {
      for (const record of records) {
        const isPassed = isOwn(record.value) && !core.tail.wantsOwn(partition)
        const frame = isPassed ? null : frameOf(record)
        if (!isPassed && frame === null) report(damagedFrame(partition, record.offset))
        core.tail.onFrame(partition, record.offset, frame)
      }
      core.turn()
    },
    onError: onLogLost,
  })
})

const damagedFrame = (partition: number, offset: number) =>
  Effect.logError("a damaged frame in the token log counts for nobody").pipe(
    Effect.annotateLogs({ partition, offset }),
  )
