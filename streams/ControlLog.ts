// The log of changes to what runs: settings, rollouts. Few records and never forgotten: each has a
// key of its own, so that compaction drops only a repetition of the same event, never one that a
// void event followed. What counts of it is fold/controlState.ts's to say.
import { Context, Effect, Layer, type Scope } from "effect"
import { codecs } from "../schemas/codec.ts"
import type { ControlEvent } from "../schemas/types.ts"
import { type Bounds, Log, type LogError } from "./Log.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { controlTopic } from "./topics.ts"

export interface ControlTail {
  /** In log order, from the first event there is. */
  readonly onEvents: (events: ReadonlyArray<ReadRecord<ControlEvent>>) => void
  /** Called once when the tail cannot go on. */
  readonly onError: (error: LogError) => void
}

const partition = { topic: controlTopic, partition: 0 }

export class ControlLog extends Context.Service<
  ControlLog,
  {
    /** Durable when it succeeds. A repetition of an event changes nothing. */
    readonly append: (event: ControlEvent) => Effect.Effect<number, LogError>
    readonly bounds: Effect.Effect<Bounds, LogError>
    /** Every event there is, then each new one, until the scope closes. */
    readonly tail: (options: ControlTail) => Effect.Effect<void, LogError, Scope.Scope>
  }
>()("sluice/streams/ControlLog") {
  static readonly layer = Layer.effect(
    ControlLog,
    Effect.map(Log, (log) =>
      ControlLog.of({
        append: (event) =>
          Effect.suspend(() =>
            log.append(partition, [
              { key: event.eventId, value: codecs.controlEvent.encode(event) },
            ]),
          ),
        bounds: log.bounds(partition),
        tail: Effect.fnUntraced(function* ({ onEvents, onError }) {
          const { first } = yield* log.bounds(partition)
          yield* log.tail({
            topic: controlTopic,
            from: new Map([[0, first]]),
            onRecords: (_, records) => onEvents(readRecords(codecs.controlEvent, records)),
            onError,
          })
        }),
      }),
    ),
  )
}
