// How a worker leaves: it takes and starts nothing more, lets running requests end for a while, and
// leaves the rest to the log as they are, every token flushed. It never writes a terminal entry for
// an unfinished request; the mark is committed last, when all that it covers is durable.
import { Effect } from "effect"
import type { LogError } from "../../streams/Log.ts"
import type { Core } from "./core.ts"

const lookMs = 5
/** Requests that still wait are kept from the next worker for no longer than this. */
const handOverMs = 1_000
/** For the last frames to become durable and come back by the tail. */
const flushMsMax = 5_000

export interface DrainOptions {
  readonly core: Core
  /** How long running requests may go on; 0 where the engine is gone. */
  readonly drainMs: number
  readonly now: () => number
  readonly commit: Effect.Effect<void, LogError>
}

const waitFor = Effect.fnUntraced(function* (
  isDone: () => boolean,
  msMax: number,
  now: () => number,
) {
  const until = now() + msMax
  while (!isDone() && now() < until) yield* Effect.sleep(lookMs)
})

export const drain = Effect.fn("Worker.drain")(function* (options: DrainOptions) {
  const { core, now, drainMs } = options
  core.lifecycle.drain()
  core.backlog.close()
  const handOverAt = now() + Math.min(drainMs, handOverMs)
  const mayLeave = () =>
    core.count("running", "claiming") === 0 ||
    (now() >= handOverAt && core.count("reading", "waiting") > 0)
  yield* waitFor(mayLeave, drainMs, now)
  core.abandon()
  yield* waitFor(() => !core.writer.busy && core.count("ending") === 0, flushMsMax, now)
  yield* options.commit.pipe(
    Effect.catch((error) => Effect.logWarning(`the last commit failed: ${error.message}`)),
  )
})
