// What commands do over the control log of a data folder or of Kafka: open it as it is, do one
// thing, and say how it went.
import { existsSync } from "node:fs"
import { hostname, userInfo } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Layer, type Scope } from "effect"
import { Config, type ConfigShape } from "../config/Config.ts"
import { Control, ControlError } from "../control/Control.ts"
import { ControlLog } from "../../streams/ControlLog.ts"
import type { Log } from "../../streams/Log.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { failureSentence } from "./failure.ts"
import { layerStoreThere } from "./store.ts"
import type { Output } from "./topics.ts"

/** Who asks, for the log's history. */
export const operator = (): string => `${userInfo().username}@${hostname()}`

const checkLog = ({ kafka, data }: ConfigShape) => {
  if (kafka.length > 0 || existsSync(join(data, "log"))) return Effect.void
  const message = `there is no log in ${data}; name its folder with --data.`
  return Effect.fail(new ControlError({ reason: "notThere", message }))
}

/** Prints the lines that come out; resolves to the exit code. */
export const runControl = async <E>(
  config: ConfigShape,
  work: Effect.Effect<ReadonlyArray<string>, E, Control | Config | Log | Scope.Scope>,
  output: Output,
): Promise<number> => {
  const layer = Control.layer.pipe(
    Layer.provide(ControlLog.layer),
    Layer.provideMerge(layerStoreThere),
    Layer.provideMerge(Layer.succeed(Config, config)),
  )
  const exit = await Effect.runPromiseExit(
    Effect.andThen(checkLog(config), Effect.provide(work, layer)).pipe(
      Effect.scoped,
      Effect.provide(layerLogger("error")),
    ),
  )
  if (Exit.isSuccess(exit)) {
    exit.value.forEach(output.out)
    return 0
  }
  output.err(failureSentence(exit.cause, config))
  return 1
}
