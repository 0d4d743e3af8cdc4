// What a route is: how it is reached, who may, what it takes and what answers it.
import type { Effect, Schema } from "effect"
import type { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import type { Log } from "../../streams/Log.ts"
import type { RequestLog } from "../../streams/RequestLog.ts"
import type { Config } from "../config/Config.ts"
import type { Console } from "../console/Console.ts"
import type { Enqueue } from "../enqueue/Enqueue.ts"
import type { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import type { Workers } from "../enqueue/Workers.ts"
import type { Relay } from "../relay/Relay.ts"
import type { Metrics } from "../telemetry/Metrics.ts"
import type { Tokenizer } from "../tokenizer/Tokenizer.ts"
import type { Pacer } from "./answer/Pacer.ts"
import type { Call } from "./Call.ts"
import type { Failure } from "./errors.ts"

/** What handlers may need. */
export type Services =
  | Config
  | Console
  | DeadLetterLog
  | Enqueue
  | Log
  | Metrics
  | ModelCatalog
  | Pacer
  | Relay
  | RequestLog
  | Tokenizer
  | Workers

export interface Route {
  readonly method: "GET" | "POST" | "DELETE"
  readonly path: `/${string}`
  readonly summary: string
  /** Asks for no key, takes no token from a bucket, and is logged at debug level only. */
  readonly open: boolean
  /** A relay process serves it too. */
  readonly resume: boolean
  /** Makes a request: its refusals are metered. */
  readonly generates: boolean
  readonly body: Schema.Constraint | null
  /** What a client says on a WebSocket. */
  readonly message: Schema.Constraint | null
  /** What a success is written in. */
  readonly types: ReadonlyArray<string>
  /** Statuses besides the errors that any route may answer. */
  readonly statuses: ReadonlyArray<number>
  readonly handle: (call: Call) => Effect.Effect<void, Failure, Services>
}
