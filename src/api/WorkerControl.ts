// For the console in development: a way to kill the worker, so that one can watch another take up
// what it was at. Where there is none (all else), the route says so.
import { Context, type Effect } from "effect"

export interface WorkerControlShape {
  /** kill -9 of the worker's process; another one starts at once. */
  readonly kill: Effect.Effect<void>
}

export const WorkerControl = Context.Reference<WorkerControlShape | null>(
  "sluice/api/WorkerControl",
  { defaultValue: () => null },
)
