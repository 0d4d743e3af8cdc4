// The worker: takes requests of one model version from the request log, runs them through the
// engine and appends what it generates to the token log. This file ties the core to its logs,
// engine and clock; what is decided about a request is in lifecycle.ts. Closing the layer drains it
// (drain.ts).
import {
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Layer,
  Queue,
  Schedule,
  Schema,
  Scope,
} from "effect"
import { CommandLog } from "../../streams/CommandLog.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { requestTopic, tiers, tokenTopic } from "../../streams/topics.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import { Config } from "../config/Config.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { Traces } from "../telemetry/Traces.ts"
import { makeTextStream } from "../tokenizer/TextStream.ts"
import { Tokenizer } from "../tokenizer/Tokenizer.ts"
import type { Owned } from "./assignment.ts"
import { type Burial, buryAll } from "./bury.ts"
import { Core } from "./core.ts"
import { drain } from "./drain.ts"
import { Engine } from "./engine/Engine.ts"
import { Heartbeat } from "./heartbeat.ts"
import { readHistories } from "./histories.ts"
import type { InFlight } from "./inFlight.ts"
import { followTokens } from "./followTokens.ts"
import { makeLag } from "./lag.ts"
import { makeProgress } from "./progress.ts"
import { makeWorkerId } from "./workerId.ts"

/** Why a worker cannot go on. It ends the process: what was in flight is continued from the log. */
export class WorkerError extends Schema.TaggedError<WorkerError>()("WorkerError", {
  /**
   * engineLost: the device or a step failed. logLost: nothing can be read or made durable.
   * broken: a fault of the worker itself.
   */
  reason: Schema.Literals(["engineLost", "logLost", "broken"]),
  message: Schema.String,
}) {}

const expireEveryMs = 25
/** Without requests: an idle worker wakes seldom, and the first one's deadline is late so long. */
const expireIdleMs = 100
const commitEveryMs = 250
const beatEveryMs = 1_000
const lagEveryMs = 5_000
/** Of one range read for histories. */
const readBytesMax = 1 << 20
/** Of adopted requests' tokens: enough that the engine never waits for the next claim. */
const stepsAhead = 4
/** Read ahead, of each tier, beside what the engine holds. */
const requestsAheadMax = 8_192
const promptTokensMax = 8_000_000

export class Worker extends Context.Service<
  Worker,
  {
    readonly id: string
    /** Never succeeds; fails once when the worker cannot go on. */
    readonly lost: Effect.Effect<never, WorkerError>
    /** ms since the engine's last step, while it has work. */
    readonly stalledMs: Effect.Effect<number>
  }
>()("sluice/generate/Worker") {
  /** The topics of the model must be there. */
  static readonly layer = Layer.effect(
    Worker,
    Effect.suspend(() => make()),
  )
}

/** What the core asks for and fibers do: no callback of the core waits. */
const makeQueues = Effect.gen(function* () {
  return {
    histories: yield* Queue.unbounded<InFlight>(),
    burials: yield* Queue.unbounded<Burial>(),
    assigned: yield* Queue.unbounded<Owned>(),
  }
})

const makeParts = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const lost = yield* Deferred.make<never, WorkerError>()
  const lose = (reason: WorkerError["reason"], message: string) =>
    void Deferred.doneUnsafe(lost, Effect.fail(new WorkerError({ reason, message })))
  return {
    id: yield* makeWorkerId,
    config: yield* Config,
    engine: yield* Engine,
    log: yield* Log,
    tokens: yield* TokenLog,
    requests: yield* RequestLog,
    metrics: yield* Metrics,
    traces: yield* Traces,
    tokenizer: yield* Tokenizer,
    queues: yield* makeQueues,
    now: () => clock.currentTimeMillisUnsafe(),
    lost,
    lose,
    onLogLost: ({ reason, message }: LogError) => lose("logLost", `${reason}: ${message}`),
    report: Effect.runForkWith(yield* Effect.context<never>()),
  }
})

type Parts = Effect.Success<typeof makeParts>

const makeCore = (parts: Parts, tailStarts: ReadonlyArray<number>): Core => {
  const { id, config, engine, tokens, metrics, tokenizer, queues, now, onLogLost } = parts
  const { servedModelName: model, modelVersion: version, worker, log } = config
  return new Core({
    workerId: id,
    engine,
    makeText: makeTextStream,
    tokenizer: tokenizer.model,
    tierOf: new Map(tiers.map((tier) => [requestTopic(model, version, tier), tier])),
    weights: () => config.tiers,
    tailStarts,
    backlog: { requestsMax: requestsAheadMax + engine.info.sequencesMax, promptTokensMax },
    claimsMax: worker.claimsMax,
    adoptTokensMax: stepsAhead * worker.batchTokensMax,
    flushMs: worker.flushMs,
    retryMs: log.retryMs,
    patienceMs: log.patienceMs,
    yieldMs: worker.yieldMs,
    now,
    after: (ms, run) => void setTimeout(run, ms),
    append: (partition, entries, done) => tokens.appendThen(partition, id, entries, done),
    onLost: onLogLost,
    wantsHistory: (item) => void Queue.offerUnsafe(queues.histories, item),
    bury: (burial) => void Queue.offerUnsafe(queues.burials, burial),
    progress: makeProgress({ metrics, model, now, traces: parts.traces, workerId: id }),
  })
}

const followCommands = Effect.fn("Worker.followCommands")(function* (parts: Parts, core: Core) {
  const commands = yield* CommandLog
  yield* commands.tail({
    onCommands: (records) => {
      for (const { value } of records) if (value !== null) core.onCancelled(value.requestId)
    },
    onError: parts.onLogLost,
  })
})

const takeRequests = (parts: Parts, core: Core) =>
  parts.requests.consume({
    model: parts.config.servedModelName,
    version: parts.config.modelVersion,
    member: parts.id,
    slots: parts.engine.info.sequencesMax,
    onAssigned: (epoch, partitions) => {
      for (const owned of core.onAssigned(epoch, partitions)) {
        Queue.offerUnsafe(parts.queues.assigned, owned)
      }
    },
    onRequests: (_, partition, records) => core.onRecords(partition, records),
    onEarly: (partition, requests) => core.onEarly(partition, requests),
    onError: parts.onLogLost,
  })

/** Where each new partition ends now: later records are fresh. */
const lookUpEnds = Effect.fn("Worker.lookUpEnds")(function* ({ queues, log }: Parts) {
  for (;;) {
    const owned = yield* Queue.take(queues.assigned)
    owned.freshFrom = (yield* log.bounds(owned)).next
  }
})

/** The fibers that serve the core's wishes; a log that fails one of them is lost. */
const serve = Effect.fn("Worker.serve")(function* (parts: Parts, core: Core) {
  const { queues, tokens, log, now, onLogLost } = parts
  const letters = yield* DeadLetterLog
  const fork = <R>(work: Effect.Effect<never, LogError, R>) =>
    work.pipe(
      Effect.catch((error) => Effect.sync(() => onLogLost(error))),
      Effect.catchDefect((defect) => Effect.sync(() => parts.lose("broken", String(defect)))),
      Effect.forkScoped,
    )
  yield* fork(lookUpEnds(parts))
  yield* fork(
    readHistories({
      wanted: queues.histories,
      offsetAt: (partition, timestamp) => log.offsetAt({ topic: tokenTopic, partition }, timestamp),
      read: (partition, offset) => tokens.readFrom(partition, offset, readBytesMax),
      tailNext: (partition) => core.tail.next(partition),
      onRead: (item) => core.onHistory(item),
      turn: () => core.turn(),
    }),
  )
  yield* fork(
    buryAll({
      burials: queues.burials,
      append: letters.append,
      now,
      buried: (burial) => core.onBuried(burial),
    }),
  )
})

const lagOf = ({ config, metrics, log, requests }: Parts, { assignment }: Core) => {
  const { servedModelName: model, modelVersion: version } = config
  const committed = (place: Owned) => requests.committed(model, version, place)
  return makeLag({ model, assignment, metrics, bounds: log.bounds, committed })
}

const every = (ms: number, work: Effect.Effect<void>) =>
  work.pipe(Effect.repeat(Schedule.spaced(ms)), Effect.forkScoped)

const make = Effect.fn("Worker.make")(function* () {
  const parts = yield* makeParts
  const { id, config, engine, tokens, now, lost } = parts
  const partitions = Array.from({ length: tokens.partitions }, (_, partition) => partition)
  const starts = yield* Effect.forEach(partitions, (partition) =>
    Effect.map(tokens.bounds(partition), ({ next }) => next),
  )
  const core = makeCore(parts, starts)
  const heartbeat = new Heartbeat({
    workerId: id,
    model: config.servedModelName,
    version: config.modelVersion,
    core,
    engine,
    log: yield* WorkerLog,
    metrics: parts.metrics,
    now,
    costPerHour: config.prices.workerPerHour,
  })
  engine.onStep((step) => {
    heartbeat.onStep(step)
    core.onStep(step)
  })
  engine.onLost((message) => parts.lose("engineLost", message))
  yield* followTokens({ ...parts, core, starts })
  yield* followCommands(parts, core)
  const group = yield* Scope.fork(yield* Effect.scope)
  const consumer = yield* Effect.provideService(takeRequests(parts, core), Scope.Scope, group)
  core.backlog.connect(consumer)
  yield* serve(parts, core)
  const commit = Effect.suspend(() => {
    const commits = core.assignment.takeCommits()
    return commits.length === 0 ? Effect.void : consumer.commit(core.assignment.epoch, commits)
  }).pipe(
    Effect.catch((error) => {
      core.assignment.untakeCommits()
      return Effect.logWarning(`a commit failed: ${error.message}`)
    }),
  )
  const expire = Effect.suspend(() => {
    core.expire()
    return Effect.sleep(core.table.isEmpty ? expireIdleMs : expireEveryMs)
  })
  yield* Effect.forkScoped(Effect.forever(expire))
  yield* every(commitEveryMs, commit)
  yield* every(lagEveryMs, lagOf(parts, core)())
  heartbeat.become("ready")
  yield* every(
    beatEveryMs,
    Effect.sync(() => heartbeat.beat()),
  )
  yield* Effect.addFinalizer(
    Effect.fnUntraced(function* () {
      heartbeat.become("draining")
      const isLost = Deferred.isDoneUnsafe(lost)
      const drainMs = isLost ? 0 : config.worker.drainMs
      yield* drain({ core, drainMs, now, commit, leave: Scope.close(group, Exit.void) })
      yield* heartbeat.stop
    }),
  )
  const stalledMs = Effect.sync(() => heartbeat.stalledMs)
  return Worker.of({ id, lost: Deferred.await(lost), stalledMs })
})
