// A log with every topic of one model, and gateways on it that share nothing else: each submits for
// itself, as processes of their own would. For what only the log's order can decide.
import { Effect, Exit, Layer, Scope } from "effect"
import { Config, type ConfigShape } from "../../src/config/Config.ts"
import { defaults } from "../../src/config/settings.ts"
import { Enqueue } from "../../src/enqueue/Enqueue.ts"
import { layerEnqueue } from "../../src/enqueue/layer.ts"
import { ModelCatalog } from "../../src/enqueue/ModelCatalog.ts"
import { Workers } from "../../src/enqueue/Workers.ts"
import { CommandLog } from "../../streams/CommandLog.ts"
import { KeyLog } from "../../streams/KeyLog.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { RequestLog, type RequestRecord } from "../../streams/RequestLog.ts"
import { codecs } from "../../schemas/codec.ts"
import { readRecords } from "../../streams/readRecord.ts"
import { TokenLog } from "../../streams/TokenLog.ts"
import { modelTopics, requestTopic, sharedTopics, tiers } from "../../streams/topics.ts"
import { WorkerLog } from "../../streams/WorkerLog.ts"
import { topicOptions } from "./relay.ts"

export const typedLogs = Layer.mergeAll(
  TokenLog.layer,
  RequestLog.layer,
  CommandLog.layer,
  WorkerLog.layer,
  KeyLog.layer,
)

const layerServed = (name: string) =>
  Layer.succeed(ModelCatalog, {
    served: { name, version: "1", contextTokensMax: 1024, createdAt: 0 },
    ready: Effect.succeed(null),
  })

export interface GatewayOptions {
  readonly model?: string
  readonly limits?: Partial<ConfigShape["limits"]>
  readonly log?: Partial<ConfigShape["log"]>
}

export const makeGateways = Effect.fnUntraced(function* (
  layerLog: Layer.Layer<Log, LogError>,
  { model = "tales-11m", limits, log: logChange }: GatewayOptions = {},
) {
  const base = defaults()
  const config = Config.layerTest({
    servedModelName: model,
    limits: { ...base.limits, ...limits },
    log: { ...base.log, ...logChange },
  })
  const topics = Layer.effectDiscard(
    Effect.flatMap(Log, (log) =>
      log.createTopics([...sharedTopics(topicOptions), ...modelTopics(model, "1", topicOptions)]),
    ),
  )
  const context = yield* Layer.build(
    typedLogs.pipe(Layer.provide(topics), Layer.provideMerge(layerLog)),
  )
  const logs = Layer.succeedContext(context)
  const log = yield* Effect.provide(Log, context)
  const layerGateway = Layer.fresh(layerEnqueue).pipe(
    Layer.provide(Layer.fresh(Workers.layer)),
    Layer.provide(Layer.mergeAll(logs, layerServed(model), config)),
  )
  /** Every request record there is, in no order. */
  const records = Effect.gen(function* () {
    const all: Array<RequestRecord> = []
    for (const tier of tiers) {
      for (let partition = 0; partition < topicOptions.requestPartitions; partition++) {
        const at = { topic: requestTopic(model, "1", tier), partition }
        all.push(...readRecords(codecs.requestAccepted, yield* log.read(at, 0, 1 << 24)))
      }
    }
    return all
  })
  const gateway = Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const built = yield* Layer.buildWithScope(layerGateway, scope)
    const enqueue = yield* Effect.provide(Enqueue, built)
    return { ...enqueue, stop: Scope.close(scope, Exit.void) }
  })
  return {
    context,
    layerLogs: logs,
    log,
    records,
    gateway,
    keys: yield* Effect.provide(KeyLog, context),
    tokens: yield* Effect.provide(TokenLog, context),
    requests: yield* Effect.provide(RequestLog, context),
  }
})
