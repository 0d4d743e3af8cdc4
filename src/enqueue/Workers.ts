// The workers of the model that this gateway serves, as their heartbeats tell: kept current from
// the workers' log, read by placement, admission and /ready. A view, never an authority.
import { Clock, Context, Effect, Layer } from "effect"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import { Config } from "../config/Config.ts"
import { makeWorkerStates, type WorkerStates } from "./workerStates.ts"

export class Workers extends Context.Service<Workers, WorkerStates>()("sluice/enqueue/Workers") {
  static readonly layer = Layer.effect(
    Workers,
    Effect.gen(function* () {
      const { servedModelName } = yield* Config
      const log = yield* WorkerLog
      const states = makeWorkerStates(servedModelName, yield* Clock.currentTimeMillis)
      const runFork = Effect.runForkWith(yield* Effect.context<never>())
      yield* log.tail({
        onStatuses: (statuses) => {
          for (const { value } of statuses) if (value !== null) states.take(value)
        },
        // The view grows stale and says so: no worker counts as alive any more.
        onError: ({ message }) => {
          runFork(
            Effect.logError("the workers' log cannot be followed").pipe(
              Effect.annotateLogs({ message }),
            ),
          )
        },
      })
      return states
    }),
  )
}
