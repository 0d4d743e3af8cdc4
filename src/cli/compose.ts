// The table of contents of the system: which layers make which process. Everything above a line
// needs only what is below it:
//
//     Process                       what the command line wants to know of a running process
//     Api            Worker         the way in and out | the way to the engine
//     Enqueue Relay  Engine         stages
//     typed logs                    requests, tokens, commands, dead letters, workers
//     Log  Tokenizer  Metrics       the store, the model's text, what is measured
//     Config
import { Context, Effect, Layer } from "effect"
import { Api } from "../api/Api.ts"
import { Config, type ConfigShape } from "../config/Config.ts"
import { Enqueue } from "../enqueue/Enqueue.ts"
import { layerEnqueue } from "../enqueue/layer.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Workers } from "../enqueue/Workers.ts"
import { Engine } from "../generate/engine/Engine.ts"
import { layerEngine } from "../generate/engine/layer.ts"
import { Worker, type WorkerError } from "../generate/Worker.ts"
import { layerRelay } from "../relay/layer.ts"
import { Relay } from "../relay/Relay.ts"
import { layerEventLoop } from "../telemetry/eventLoop.ts"
import { layerMetrics } from "../telemetry/registry.ts"
import { layerTokenizer } from "../tokenizer/layer.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import type { LogError } from "../../streams/Log.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import type { ProcessKind } from "./commands.ts"
import { layerStore } from "./store.ts"

export class Process extends Context.Service<
  Process,
  {
    /** Where it listens; null: nowhere. */
    readonly url: string | null
    /** What its engine runs on; null: it has none. */
    readonly device: string | null
    /** Never succeeds; fails when the process cannot go on. */
    readonly lost: Effect.Effect<never, WorkerError | LogError>
  }
>()("sluice/cli/Process") {}

const layerLogs = Layer.mergeAll(
  RequestLog.layer,
  TokenLog.layer,
  CommandLog.layer,
  DeadLetterLog.layer,
  WorkerLog.layer,
).pipe(Layer.provideMerge(layerStore))

const layerGround = Layer.mergeAll(layerLogs, layerTokenizer, layerEventLoop).pipe(
  Layer.provideMerge(layerMetrics),
)

/** What a request had reserved is given back when the log says that it ended, wherever it ran. */
const layerRelease = Layer.effectDiscard(
  Effect.gen(function* () {
    const { onEnded } = yield* Relay
    const { ended } = yield* Enqueue
    onEnded(ended)
  }),
)

const layerAsk = layerRelease.pipe(
  Layer.provideMerge(Layer.mergeAll(layerEnqueue, layerRelay)),
  Layer.provideMerge(ModelCatalog.layer),
  Layer.provideMerge(Workers.layer),
)

const deviceOf = ({ info }: Engine["Service"]) => `${info.device}, ${info.dtype}`

const serve = Layer.effect(
  Process,
  Effect.gen(function* () {
    const { url } = yield* Api
    const device = deviceOf(yield* Engine)
    const lost = Effect.raceFirst((yield* Worker).lost, (yield* Relay).lost)
    return { url, device, lost }
  }),
).pipe(
  // Side by side: at the end both drain at the same time, not one after the other.
  Layer.provide(Layer.mergeAll(Api.layer, Worker.layer)),
  Layer.provide(Layer.mergeAll(layerAsk, layerEngine)),
)

const worker = Layer.effect(
  Process,
  Effect.gen(function* () {
    const { lost } = yield* Worker
    return { url: null, device: deviceOf(yield* Engine), lost }
  }),
).pipe(Layer.provide(Worker.layer), Layer.provide(layerEngine))

const listening = Layer.effect(
  Process,
  Effect.gen(function* () {
    const { url } = yield* Api
    const { lost } = yield* Relay
    return { url, device: null, lost }
  }),
)

const gateway = listening.pipe(Layer.provide(Api.layer), Layer.provide(layerAsk))

const relay = listening.pipe(Layer.provide(Api.layerRelay), Layer.provide(layerAsk))

const processes = { serve, gateway, worker, relay }

export const processLayer = (kind: ProcessKind, config: ConfigShape) =>
  processes[kind].pipe(Layer.provide(layerGround), Layer.provide(Layer.succeed(Config, config)))
