// The workers of one process: one for each version that the control log wants held ready, each with
// an engine, a tokenizer and a configuration of its own. A new version is loaded beside the one
// that serves; one that is retired is drained and its memory given back. What a version left behind
// that was rolled back and is not loaded here any more, the version that serves finishes.
import { Cause, Context, Deferred, Effect, Exit, Layer, Queue, Scope } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { Config } from "../config/Config.ts"
import { Control } from "../control/Control.ts"
import { withVersion } from "../control/liveConfig.ts"
import { Engine } from "../generate/engine/Engine.ts"
import { layerEngine } from "../generate/engine/layer.ts"
import { Worker, type WorkerError } from "../generate/Worker.ts"
import type { Metrics } from "../telemetry/Metrics.ts"
import { Tokenizer } from "../tokenizer/Tokenizer.ts"
import { makeTokenizer } from "../tokenizer/layer.ts"
import type { CommandLog } from "../../streams/CommandLog.ts"
import type { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { rolloutEntity } from "../../streams/fold/controlState.ts"
import { loadedVersions, type RolloutState, type Serving } from "../../streams/fold/rolloutState.ts"
import type { Log } from "../../streams/Log.ts"
import type { RequestLog } from "../../streams/RequestLog.ts"
import type { TokenLog } from "../../streams/TokenLog.ts"
import type { WorkerLog } from "../../streams/WorkerLog.ts"
import { failureMessage } from "./failure.ts"

type Ground =
  | Config
  | Control
  | Metrics
  | Tokenizer
  | Log
  | RequestLog
  | TokenLog
  | CommandLog
  | DeadLetterLog
  | WorkerLog

/** A version that runs here, and what its engine runs on. */
interface Running {
  readonly scope: Scope.Closeable
  readonly device: string
  readonly lost: Effect.Effect<never, WorkerError>
  readonly stalledMs: Effect.Effect<number>
}

/** What this process should run; the one that serves comes first. */
const wantedVersions = (
  rollout: RolloutState | null,
  { modelVersion, model }: Pick<ConfigShape, "modelVersion" | "model">,
): ReadonlyArray<Serving> => {
  if (rollout === null) return [{ version: modelVersion, source: model }]
  const { phase, plan } = rollout
  return loadedVersions(rollout).map(({ version, source }) =>
    phase === "rolledBack" && version === plan.to
      ? { version, source: plan.fromSource }
      : { version, source },
  )
}

const layerTokenizerOf = (serving: Serving, config: ConfigShape) =>
  serving.source === config.model
    ? Layer.effect(Tokenizer, Tokenizer)
    : Layer.effect(Tokenizer, makeTokenizer(serving.source))

/** Takes requests of the version when it succeeds. */
const start = Effect.fn("VersionHost.start")(function* (serving: Serving) {
  const config = yield* Config
  const layer = Worker.layer.pipe(
    Layer.provideMerge(layerEngine),
    Layer.provide(layerTokenizerOf(serving, config)),
    Layer.provide(Layer.succeed(Config, withVersion(config, serving))),
  )
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(layer, scope).pipe(
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
  )
  const { info } = Context.get(context, Engine)
  const { lost, stalledMs } = Context.get(context, Worker)
  return { scope, device: `${info.device}, ${info.dtype}`, lost, stalledMs } satisfies Running
})

const make = Effect.gen(function* () {
  const config = yield* Config
  const control = yield* Control
  const model = config.servedModelName
  const ground = yield* Effect.context<Ground>()
  const lost = yield* Deferred.make<never, WorkerError>()
  const wake = yield* Queue.sliding<void>(1)
  const running = new Map<string, Running>()
  const rollout = () => control.state.rollout(model)

  const stop = Effect.fn("VersionHost.stop")(function* (version: string) {
    const found = running.get(version)
    running.delete(version)
    if (found !== undefined) yield* Scope.close(found.scope, Exit.void)
  })

  /** The new version cannot do it: it goes back, whatever its numbers. */
  const giveBack = Effect.fnUntraced(function* (version: string, why: string) {
    yield* Effect.logError(`version ${version} is given back: ${why}`)
    const now = rollout()
    if (now === null || now.plan.to !== version) return
    if (now.phase === "completed" || now.phase === "rolledBack") return
    const change = { kind: "RolloutRolledBack" as const, reason: why }
    const by = `worker of ${version}`
    yield* Effect.ignore(control.decide({ entity: rolloutEntity(model), change, by }))
  })

  const isNew = (version: string) => {
    const now = rollout()
    return now !== null && now.plan.to === version && now.phase !== "completed"
  }

  /** A version that is lost ends the process, but for one that is only tried on a CPU. */
  const onLost = Effect.fnUntraced(function* (version: string, own: Running, error: WorkerError) {
    const mayGoOn = isNew(version) && !own.device.startsWith("cuda")
    if (isNew(version)) yield* giveBack(version, `its engine was lost: ${error.message}`)
    if (!mayGoOn) return Deferred.doneUnsafe(lost, Effect.fail(error))
    if (running.get(version) === own) yield* stop(version)
    yield* Queue.offer(wake, undefined)
  })

  const hold = Effect.fnUntraced(function* (serving: Serving) {
    const own = yield* Effect.provide(start(serving), ground)
    running.set(serving.version, own)
    yield* own.lost.pipe(
      Effect.catch((error: WorkerError) => onLost(serving.version, own, error)),
      Effect.forkScoped,
    )
    return own
  })

  const holdBeside = (serving: Serving) =>
    hold(serving).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : giveBack(serving.version, `it cannot be loaded: ${failureMessage(cause, config)}`),
      ),
    )

  const reconcile = Effect.gen(function* () {
    const wanted = wantedVersions(rollout(), config)
    for (const version of running.keys()) {
      if (!wanted.some((one) => one.version === version)) yield* stop(version)
    }
    for (const serving of wanted) if (!running.has(serving.version)) yield* holdBeside(serving)
  })

  yield* Effect.addFinalizer(() =>
    Effect.forEach([...running.keys()], stop, { concurrency: "unbounded", discard: true }),
  )
  const [serving = { version: config.modelVersion, source: config.model }] = wantedVersions(
    rollout(),
    config,
  )
  const { device } = yield* hold(serving)
  control.onCounted(() => void Queue.offerUnsafe(wake, undefined))
  yield* reconcile.pipe(Effect.andThen(Queue.take(wake)), Effect.forever, Effect.forkScoped)
  const stalledMs = Effect.map(
    Effect.suspend(() => Effect.all([...running.values()].map((one) => one.stalledMs))),
    (all) => Math.max(0, ...all),
  )
  return VersionHost.of({ device, lost: Deferred.await(lost), stalledMs })
})

export class VersionHost extends Context.Service<
  VersionHost,
  {
    /** What the engine of the version that serves runs on. */
    readonly device: string
    /** Never succeeds; fails when the process cannot go on. */
    readonly lost: Effect.Effect<never, WorkerError>
    /** Of the version that has stood still for longest while it had work. */
    readonly stalledMs: Effect.Effect<number>
  }
>()("sluice/cli/VersionHost") {
  static readonly layer = Layer.effect(VersionHost, make)
}
