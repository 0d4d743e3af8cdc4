// `sluice topics apply`: makes what a model version needs on Kafka, or says what it would do.
import { Effect, Exit } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { inByteUnits, inTimeUnits } from "../config/setting.ts"
import { KafkaPlan } from "../../streams/kafka/KafkaLog.ts"
import { Log, type TopicSpec } from "../../streams/Log.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { failureSentence } from "./failure.ts"
import { kafkaStore, topicsOf } from "./store.ts"

export interface Output {
  readonly out: (line: string) => void
  readonly err: (line: string) => void
}

const forEver = Number.MAX_SAFE_INTEGER

const kept = ({ cleanup, retentionMs, retentionBytes }: TopicSpec): string => {
  const age = retentionMs === forEver ? "for ever" : inTimeUnits(retentionMs)
  const bytes = retentionBytes === forEver ? "" : `, ${inByteUnits(retentionBytes)} a partition`
  return cleanup === "compact" ? `compacted, kept ${age}${bytes}` : `kept ${age}${bytes}`
}

const apply = Effect.fnUntraced(function* (config: ConfigShape, dryRun: boolean, { out }: Output) {
  const plan = yield* KafkaPlan
  const log = yield* Log
  const there = new Set((yield* log.topics).map(({ name }) => name))
  const wanted = topicsOf(config)
  const missing = yield* plan.missing(wanted)
  const replicas = yield* plan.replicas
  for (const spec of wanted) {
    const written = missing.find(({ name }) => name === spec.name)
    const verb = written === undefined ? "ok" : there.has(spec.name) ? "change" : "make"
    const shown = written ?? spec
    const width = `${shown.partitions} partitions x ${replicas}`
    out(`${verb.padEnd(7)} ${spec.name}  ${width}, ${kept(shown)}`)
  }
  if (dryRun) return out("Nothing was done: --dry-run.")
  yield* log.createTopics(wanted)
  out(missing.length === 0 ? "All is as it should be." : `${missing.length} topics applied.`)
})

/** Resolves to the exit code. */
export const topicsCommand = async (
  config: ConfigShape,
  dryRun: boolean,
  output: Output,
): Promise<number> => {
  if (config.kafka.length === 0) {
    output.err("sluice topics: --kafka is missing; in a data folder topics are made as needed.")
    return 2
  }
  const exit = await Effect.runPromiseExit(
    apply(config, dryRun, output).pipe(
      Effect.provide(kafkaStore(config)),
      Effect.provide(layerLogger("error")),
    ),
  )
  if (Exit.isSuccess(exit)) return 0
  output.err(failureSentence(exit.cause, config))
  return 1
}
