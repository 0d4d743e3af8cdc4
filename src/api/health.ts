// Is the process alive, can it serve, and what does it measure. None of these needs a key.
import { Effect } from "effect"
import { Log } from "../../streams/Log.ts"
import { Config } from "../config/Config.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { type Call, writeJson, writeText } from "./Call.ts"
import { apiError } from "./errors.ts"

/** GET /health: the process answers, no more. */
export const showHealth = (call: Call): Effect.Effect<void> =>
  Effect.sync(() => writeJson(call.exchange.res, { status: "ok" }))

/** GET /ready: the log is open and some worker has the model loaded; 503 says what is missing. */
export const showReady = Effect.fnUntraced(function* (call: Call) {
  const log = yield* Log
  const catalog = yield* ModelCatalog
  const logFault = yield* Effect.match(log.topics, {
    onSuccess: () => null,
    onFailure: (error) => `The log is not available (${error.reason}).`,
  })
  const faults = [logFault, yield* catalog.ready].filter((fault) => fault !== null)
  if (faults.length > 0) return yield* apiError("notReady", faults.join(" "))
  writeJson(call.exchange.res, { status: "ready", model: catalog.served.name })
})

/** GET /metrics: Prometheus' text format; not where administrators have a port of their own. */
export const showMetrics = Effect.fnUntraced(function* (call: Call) {
  const { admin } = yield* Config
  if (admin.listen !== "") return yield* apiError("unknownRoute", "There is no GET /metrics.")
  const metrics = yield* Metrics
  const text = yield* Effect.promise(() => metrics.exposition())
  writeText(call.exchange.res, text, { type: "text/plain; version=0.0.4; charset=utf-8" })
})
