// The table of contents of the system: which layers make which process. Everything above a line
// needs only what is below it:
//
//     Process                       what the command line wants to know of a running process
//     Api            Worker         the way in and out | the way to the engine (in `serve`: a
//     Enqueue Relay  Engine         thread of its own, which meets the rest in the logs only)
//     typed logs                    requests, tokens, commands, dead letters, workers
//     Log  Tokenizer  Metrics       the store, the model's text, what is measured
//     Config
import { isMainThread } from "node:worker_threads"
import { Context, Effect, Layer } from "effect"
import { serveAdmin } from "../admin/Admin.ts"
import { Api } from "../api/Api.ts"
import { WorkerControl } from "../api/WorkerControl.ts"
import { Config, type ConfigShape } from "../config/Config.ts"
import { Control } from "../control/Control.ts"
import { layerLiveConfig } from "../control/liveConfig.ts"
import { layerRollouts } from "../control/rollout/Rollouts.ts"
import { Console } from "../console/Console.ts"
import { Enqueue } from "../enqueue/Enqueue.ts"
import { layerEnqueue } from "../enqueue/layer.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Reaper } from "../enqueue/Reaper.ts"
import { Workers } from "../enqueue/Workers.ts"
import { layerGrammars } from "../generate/engine/grammars.ts"
import type { WorkerError } from "../generate/Worker.ts"
import { layerRelay } from "../relay/layer.ts"
import { Relay } from "../relay/Relay.ts"
import { layerEventLoop } from "../telemetry/eventLoop.ts"
import { Metrics, type MetricsSnapshot } from "../telemetry/Metrics.ts"
import { layerTraces } from "../telemetry/Traces.ts"
import { layerMetrics } from "../telemetry/registry.ts"
import { layerTokenizer } from "../tokenizer/layer.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { KeyLog } from "../../streams/KeyLog.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { ControlLog } from "../../streams/ControlLog.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import type { ProcessKind } from "./commands.ts"
import { layerDecider } from "./layerDecider.ts"
import { layerRegistryProbe } from "./registryProbe.ts"
import { layerStore } from "./store.ts"
import { VersionHost } from "./VersionHost.ts"
import { WorkerThread, type WorkerThreadError } from "./WorkerThread.ts"

export class Process extends Context.Service<
  Process,
  {
    /** Where it listens; null: nowhere. */
    readonly url: string | null
    /** Of the administrators' server; null: there is none. */
    readonly adminUrl: string | null
    /** What its engine runs on; null: it has none. */
    readonly device: string | null
    /** Never succeeds; fails when the process cannot go on. */
    readonly lost: Effect.Effect<never, WorkerError | WorkerThreadError | LogError>
    readonly measure: () => Promise<MetricsSnapshot>
  }
>()("sluice/cli/Process") {}

const layerLogs = Layer.mergeAll(
  RequestLog.layer,
  TokenLog.layer,
  CommandLog.layer,
  DeadLetterLog.layer,
  WorkerLog.layer,
  KeyLog.layer,
  ControlLog.layer,
).pipe(Layer.provideMerge(layerStore))

const layerProcess = Layer.mergeAll(layerEventLoop, layerRegistryProbe)

/** The configuration from here up is what the control log makes of it. */
const layerGround = Layer.mergeAll(layerGrammars, layerProcess).pipe(
  Layer.provideMerge(layerTokenizer),
  Layer.provideMerge(layerLiveConfig),
  Layer.provideMerge(Control.layer),
  Layer.provideMerge(layerLogs),
  Layer.provideMerge(layerMetrics),
)

/** What a request had reserved is given back when the log says that it ended, wherever it ran. */
const layerRelease = Layer.effectDiscard(
  Effect.gen(function* () {
    const { onEnded } = yield* Relay
    const enqueue = yield* Enqueue
    const reaper = yield* Reaper
    onEnded((requestId) => {
      enqueue.ended(requestId)
      reaper.ended(requestId)
    })
  }),
)

/** What the console shows, it is told as it passes. */
const layerWatch = Layer.effectDiscard(
  Effect.gen(function* () {
    const { watch } = yield* Relay
    watch(yield* Console)
  }),
)

const layerAsk = Layer.mergeAll(layerRelease, layerWatch, layerDecider).pipe(
  Layer.provideMerge(Layer.mergeAll(layerEnqueue, layerRelay, Reaper.layer, Console.layer)),
  Layer.provideMerge(ModelCatalog.layer),
  Layer.provideMerge(Workers.layer),
  Layer.provideMerge(layerRollouts),
)

/** An event loop that answers a probe at all is well: there is nothing else that could hang. */
const well = Effect.succeed(null)

/** Longer than any step, a first long prompt on a small CPU included. */
const stallMsMax = 60_000

/** Whether requests that come now are answered: the log takes them and some worker runs them. */
const asksWell = Effect.gen(function* () {
  const { topics } = yield* Log
  const catalog = yield* ModelCatalog
  const logFault = Effect.match(topics, {
    onSuccess: () => null,
    onFailure: ({ reason }) => `The log is not available (${reason}).`,
  })
  return Effect.flatMap(logFault, (fault) =>
    fault === null ? catalog.ready : Effect.succeed(fault),
  )
})

/** Beside the API's own end: both drain at the same time, not one after the other. */
const layerThreadEnd = Layer.effectDiscard(
  Effect.gen(function* () {
    const { stop } = yield* WorkerThread
    yield* Effect.addFinalizer(() => stop)
  }),
)

/** What the console may do to it, in development. */
const layerWorkerControl = Layer.effect(
  WorkerControl,
  Effect.gen(function* () {
    const { development } = yield* Config
    const { kill } = yield* WorkerThread
    return development ? { kill } : null
  }),
)

const serve = Layer.effect(
  Process,
  Effect.gen(function* () {
    const { url } = yield* Api
    const thread = yield* WorkerThread
    const lost = Effect.raceFirst(thread.lost, (yield* Relay).lost)
    const adminUrl = yield* serveAdmin({ kind: "serve", live: well, ready: yield* asksWell })
    const { snapshot: measure } = yield* Metrics
    return { url, adminUrl, device: yield* thread.ready, lost, measure }
  }),
).pipe(
  Layer.provide(Layer.mergeAll(Api.layer, layerThreadEnd)),
  Layer.provide(layerWorkerControl),
  Layer.provide(layerAsk),
  // Below all that takes time to open, so that both threads start side by side.
  Layer.provide(WorkerThread.layer),
)

const worker = Layer.effect(
  Process,
  Effect.gen(function* () {
    const { device, lost, stalledMs } = yield* VersionHost
    const { snapshot: measure } = yield* Metrics
    const live = Effect.map(stalledMs, (ms) =>
      ms < stallMsMax ? null : `The engine has work and made no step for ${ms} ms.`,
    )
    // The worker of `serve`, thread or child, leaves that to the process of its gateway.
    const isAlone = isMainThread && !process.connected
    const adminUrl = isAlone ? yield* serveAdmin({ kind: "worker", live, ready: live }) : null
    return { url: null, adminUrl, device, lost, measure }
  }),
).pipe(Layer.provide(VersionHost.layer))

const listening = Layer.effect(
  Process,
  Effect.gen(function* () {
    const { url } = yield* Api
    const { lost } = yield* Relay
    const adminUrl = yield* serveAdmin({ kind: "gateway", live: well, ready: yield* asksWell })
    return { url, adminUrl, device: null, lost, measure: (yield* Metrics).snapshot }
  }),
)

const gateway = listening.pipe(Layer.provide(Api.layer), Layer.provide(layerAsk))

const relay = listening.pipe(Layer.provide(Api.layerRelay), Layer.provide(layerAsk))

const processes = {
  serve: serve.pipe(Layer.provide(layerGround)),
  gateway: gateway.pipe(Layer.provide(layerGround)),
  worker: worker.pipe(Layer.provide(layerGround)),
  relay: relay.pipe(Layer.provide(layerGround)),
}

type ProcessLayer = Layer.Layer<
  Process,
  Layer.Error<(typeof processes)[ProcessKind]>,
  Layer.Services<(typeof processes)[ProcessKind]>
>

export const processLayer = (kind: ProcessKind, config: ConfigShape) => {
  const layer: ProcessLayer = processes[kind]
  return layer.pipe(
    Layer.provide(layerTraces(config.tracing, kind)),
    Layer.provide(Layer.succeed(Config, config)),
  )
}
