// The rollouts' decider as a part of every process that takes requests.
import { hostname } from "node:os"
import { Effect, Layer } from "effect"
import { Config } from "../config/Config.ts"
import { runDecider } from "../control/rollout/Decider.ts"
import { Workers } from "../enqueue/Workers.ts"

export const layerDecider = Layer.effectDiscard(
  Effect.gen(function* () {
    const { servedModelName } = yield* Config
    const workers = yield* Workers
    yield* runDecider({
      model: servedModelName,
      by: `gateway-${hostname()}-${process.pid}`,
      isLoaded: workers.isReady,
    })
  }),
)
