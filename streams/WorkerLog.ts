// The log of workers' heartbeats, compacted by worker id: who reads it from its first offset knows
// every worker's newest state, and goes on knowing it. It decides nothing: placement and admission
// look at it, ownership is the consumer group's.
import { Context, Effect, Layer, type Scope } from "effect"
import { codecs } from "../schemas/codec.ts"
import type { WorkerStatus } from "../schemas/types.ts"
import { Log, type LogError, type OnAppended } from "./Log.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { workerTopic } from "./topics.ts"

export interface WorkerTail {
  readonly onStatuses: (statuses: ReadonlyArray<ReadRecord<WorkerStatus>>) => void
  /** Called once when the tail cannot go on. */
  readonly onError: (error: LogError) => void
}

const partition = { topic: workerTopic, partition: 0 }

const record = (status: WorkerStatus) => ({
  key: status.workerId,
  value: codecs.workerStatus.encode(status),
})

export class WorkerLog extends Context.Service<
  WorkerLog,
  {
    /** Durable when it succeeds. */
    readonly append: (status: WorkerStatus) => Effect.Effect<number, LogError>
    /** The same without a fiber. */
    readonly appendThen: (status: WorkerStatus, done: OnAppended) => void
    /** Every worker's newest status there is, then each new one, until the scope closes. */
    readonly tail: (options: WorkerTail) => Effect.Effect<void, LogError, Scope.Scope>
  }
>()("sluice/streams/WorkerLog") {
  static readonly layer = Layer.effect(
    WorkerLog,
    Effect.map(Log, (log) =>
      WorkerLog.of({
        append: (status) => Effect.suspend(() => log.append(partition, [record(status)])),
        appendThen: (status, done) => log.appendThen(partition, [record(status)], done),
        tail: Effect.fnUntraced(function* ({ onStatuses, onError }) {
          const { first } = yield* log.bounds(partition)
          yield* log.tail({
            topic: workerTopic,
            from: new Map([[0, first]]),
            onRecords: (_, records) => onStatuses(readRecords(codecs.workerStatus, records)),
            onError,
          })
        }),
      }),
    ),
  )
}
