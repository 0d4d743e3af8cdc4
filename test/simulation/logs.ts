// The typed logs of one simulated process, over its own way to the shared log.
import { Layer } from "effect"
import { CommandLog } from "../../streams/CommandLog.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { KeyLog } from "../../streams/KeyLog.ts"
import { Log } from "../../streams/Log.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"

const layerTyped = Layer.mergeAll(
  RequestLog.layer,
  TokenLog.layer,
  CommandLog.layer,
  DeadLetterLog.layer,
  WorkerLog.layer,
  KeyLog.layer,
)

export const typedLogs = (log: Log["Service"]) =>
  Layer.provideMerge(layerTyped, Layer.succeed(Log, log))
