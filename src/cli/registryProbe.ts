// Whether the schema registry answers, asked now and then. Processes that run do not need it, new
// ones do: an operator should hear of it before the next restart.
import { Effect, Layer, Schedule } from "effect"
import { Config } from "../config/Config.ts"
import { Metrics } from "../telemetry/Metrics.ts"

const everyMs = 15_000
const answerMsMax = 3_000

export const layerRegistryProbe: Layer.Layer<never, never, Config | Metrics> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { registry } = yield* Config
    const metrics = yield* Metrics
    if (registry === "" || registry === "none") return
    const url = new URL(`${registry}/subjects`)
    // An answer that asks who we are is an answer.
    url.username = ""
    url.password = ""
    const asked = Effect.tryPromise((signal) => fetch(url, { method: "HEAD", signal })).pipe(
      Effect.timeout(answerMsMax),
      Effect.match({ onSuccess: ({ status }) => status < 500, onFailure: () => false }),
    )
    const show = Effect.map(asked, (up) => metrics.gauge("sluice_registry_up", {}, up ? 1 : 0))
    yield* show.pipe(Effect.repeat(Schedule.spaced(everyMs)), Effect.forkScoped)
  }),
)
