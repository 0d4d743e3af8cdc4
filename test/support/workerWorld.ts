// A log in memory with every topic of one model, and workers on it that tests start, step, freeze
// and kill. What happened is read from the token log by the fold, as every client's view is.
import { Effect, Exit, Layer, Scope } from "effect"
import { codecs } from "../../schemas/codec.ts"
import type { RequestAccepted, TokenEntry } from "../../schemas/types.ts"
import { Config } from "../../src/config/Config.ts"
import { defaults } from "../../src/config/settings.ts"
import { Engine } from "../../src/generate/engine/Engine.ts"
import {
  makeScriptedEngine,
  scriptedDefaults,
  type ScriptedOptions,
} from "../../src/generate/engine/ScriptedEngine.ts"
import { Worker } from "../../src/generate/Worker.ts"
import { layerMetrics } from "../../src/telemetry/registry.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import type { RequestState } from "../../streams/fold/requestState.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { readRecord } from "../../streams/readRecord.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { modelTopics, requestTopic, sharedTopics, workerTopic } from "../../streams/topics.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import { foldEntries, type KeptState } from "./foldEntries.ts"
import { layerLetters } from "./layerLetters.ts"

export const worldTopics = {
  requestPartitions: 2,
  tokenPartitions: 2,
  retentionMs: 3_600_000,
  retentionBytes: 1 << 30,
}

const layerTopics = Layer.effectDiscard(
  Effect.gen(function* () {
    const log = yield* Log
    yield* log.createTopics([
      ...sharedTopics(worldTopics),
      ...modelTopics("scripted", "1", worldTopics),
    ])
  }),
)

const layerLogs = (layerLog: Layer.Layer<Log, LogError>) =>
  Layer.mergeAll(
    RequestLog.layer,
    TokenLog.layer,
    CommandLog.layer,
    DeadLetterLog.layer,
    WorkerLog.layer,
  ).pipe(Layer.provide(layerTopics), Layer.provideMerge(layerLog))

export interface WorkerOptions {
  readonly engine?: Partial<Omit<ScriptedOptions, "now">>
  readonly drainMs?: number
  readonly claimsMax?: number
  /** Of the model; its topics must be there. */
  readonly version?: string
}

/** Lower-case letters only, one step a millisecond. */
const engineOptions: ScriptedOptions = {
  ...scriptedDefaults,
  vocabSize: 123,
  firstId: 97,
  eosIds: [0],
  stepIntervalMs: 1,
  sequencesMax: 64,
  now: () => Date.now(),
}

const startWorker = Effect.fnUntraced(function* (logs: Layer.Layer<Logs>, options: WorkerOptions) {
  const scripted = makeScriptedEngine({ ...engineOptions, ...options.engine })
  const base = defaults()
  const { drainMs = 50, claimsMax = 3, version: modelVersion = "1" } = options
  const worker = { ...base.worker, flushMs: 1, drainMs, claimsMax }
  const layer = Layer.fresh(Worker.layer).pipe(
    Layer.provide(Layer.succeed(Engine, scripted.engine)),
    Layer.provide(
      Layer.succeed(Config, { ...base, servedModelName: "scripted", modelVersion, worker }),
    ),
    Layer.provide(Layer.mergeAll(logs, layerMetrics, layerLetters)),
  )
  const scope = yield* Scope.make()
  // Before the log, whatever becomes of the test.
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(layer, scope)
  const service = yield* Effect.provide(Worker, context)
  return {
    scripted,
    id: service.id,
    lost: service.lost,
    /** A graceful leave. */
    stop: Scope.close(scope, Exit.void),
    /** Nothing more comes from its engine, as from a killed process; the group sees it leave. */
    kill: Effect.suspend(() => {
      scripted.close()
      return Scope.close(scope, Exit.void)
    }),
  }
})

type Logs = Log | RequestLog | TokenLog | CommandLog | DeadLetterLog | WorkerLog

export const makeWorldOn = Effect.fnUntraced(function* (layerLog: Layer.Layer<Log, LogError>) {
  const context = yield* Layer.build(layerLogs(layerLog))
  const logs = Layer.succeedContext(context)
  const log = yield* Effect.provide(Log, context)
  const requests = yield* Effect.provide(RequestLog, context)
  const tokens = yield* Effect.provide(TokenLog, context)
  const read = Effect.fnUntraced(function* () {
    const entries: Array<{ writer: string; entry: TokenEntry }> = []
    for (let partition = 0; partition < tokens.partitions; partition++) {
      for (const { value } of yield* tokens.readFrom(partition, 0, 1 << 30)) {
        for (const entry of value?.entries ?? []) entries.push({ writer: value!.writer, entry })
      }
    }
    return entries
  })
  const entriesOf = (requestId: string) =>
    Effect.map(read(), (entries) => entries.filter(({ entry }) => entry.requestId === requestId))
  const stateOf = (requestId: string) => Effect.map(entriesOf(requestId), foldEntries)
  return {
    context,
    log,
    tokens,
    requests,
    letters: yield* Effect.provide(DeadLetterLog, context),
    commands: yield* Effect.provide(CommandLog, context),
    worker: (options: WorkerOptions = {}) => startWorker(logs, options),
    send: (request: RequestAccepted, partition = 0) =>
      requests.append(request, { partition, key: "k" }),
    statuses: Effect.map(log.read({ topic: workerTopic, partition: 0 }, 0, 1 << 20), (records) =>
      records.flatMap((record) => readRecord(codecs.workerStatus, record).value ?? []),
    ),
    /** All there are, each partition in its order. */
    entries: Effect.suspend(() => read()),
    entriesOf,
    stateOf,
    /** Of the default tier's partition. */
    committed: (partition: number) => {
      const topic = requestTopic("scripted", "1", "default")
      return requests.committed("scripted", "1", { topic, partition })
    },
    /** Its state once `isDone`; fails the test after five seconds. */
    until: Effect.fnUntraced(function* (requestId: string, isDone: (state: KeptState) => boolean) {
      for (let i = 0; i < 1000; i++) {
        const state = yield* stateOf(requestId)
        if (isDone(state)) return state
        yield* Effect.sleep(5)
      }
      throw new Error(
        `request ${requestId} did not come so far: ${JSON.stringify(yield* stateOf(requestId))}`,
      )
    }),
  }
})

export const makeWorld = makeWorldOn(layerMemory)

export const isEnded = (state: RequestState) => state.terminal !== null
export const textsOf = (state: KeptState) => state.choices.map(({ texts }) => texts.join(""))
