// How a worker leaves: it takes and starts nothing more, lets running requests end for a while,
// then gives its partitions away and goes on generating until their next owners have claimed what
// still runs, so that no stream stands still. What nobody claims in time is left to the log as it
// is, every token flushed. It never writes a terminal entry for an unfinished request.
import { Effect } from "effect"
import type { LogError } from "../../streams/Log.ts"
import type { Core } from "./core.ts"

const lookMs = 5
/** Between giving the partitions away and stopping what nobody has claimed. */
const handOverMs = 1_000
/** For the last frames to become durable and come back by the tail. */
const flushMsMax = 5_000

export interface DrainOptions {
  readonly core: Core
  /** How long running requests may go on, all in all; 0 where the engine is gone. */
  readonly drainMs: number
  readonly now: () => number
  readonly commit: Effect.Effect<void, LogError>
  /** Leaves the worker group. */
  readonly leave: Effect.Effect<void>
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
  const isIdle = () => core.count("running", "claiming") === 0
  // Requests that wait here would wait for nothing.
  const mayLeave = () => isIdle() || core.count("reading", "waiting") > 0
  const startedAt = now()
  yield* waitFor(mayLeave, drainMs - handOverMs, now)
  if (!isIdle() && drainMs > 0) {
    yield* commit(options)
    yield* Effect.forkChild(options.leave)
    core.onAssigned(core.assignment.epoch, [])
    yield* waitFor(isIdle, Math.min(handOverMs, startedAt + drainMs - now()), now)
  }
  core.abandon()
  yield* waitFor(() => !core.writer.busy && core.count("ending") === 0, flushMsMax, now)
  yield* commit(options)
  yield* options.leave
})

/** What it does not say is done again: read, and found settled. */
const commit = ({ commit: work }: DrainOptions) =>
  work.pipe(Effect.catch((error) => Effect.logWarning(`the last commit failed: ${error.message}`)))
