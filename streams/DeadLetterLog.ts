// The log of requests that kept killing their workers, for operators: what it was, and why it was
// given up. Written beside the DeadLettered entry that settles the request, at least once: a worker
// that dies between the two makes its successor write the letter again.
import { Context, Effect, Layer } from "effect"
import { codecs } from "../schemas/codec.ts"
import type { DeadLetter } from "../schemas/types.ts"
import { Log, type LogError } from "./Log.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { deadLetterTopic } from "./topics.ts"

const partition = { topic: deadLetterTopic, partition: 0 }

export class DeadLetterLog extends Context.Service<
  DeadLetterLog,
  {
    /** Durable when it succeeds. */
    readonly append: (letter: DeadLetter) => Effect.Effect<number, LogError>
    /** The first offset that retention has left. */
    readonly first: Effect.Effect<number, LogError>
    /** From `offset` on, at most `bytesMax` but one letter at least; empty at the end. */
    readonly readFrom: (
      offset: number,
      bytesMax: number,
    ) => Effect.Effect<ReadonlyArray<ReadRecord<DeadLetter>>, LogError>
  }
>()("sluice/streams/DeadLetterLog") {
  static readonly layer = Layer.effect(
    DeadLetterLog,
    Effect.map(Log, (log) =>
      DeadLetterLog.of({
        append: (letter) =>
          Effect.suspend(() =>
            log.append(partition, [
              { key: letter.requestId, value: codecs.deadLetter.encode(letter) },
            ]),
          ),
        first: Effect.map(log.bounds(partition), ({ first }) => first),
        readFrom: (offset, bytesMax) =>
          Effect.map(log.read(partition, offset, bytesMax), (records) =>
            readRecords(codecs.deadLetter, records),
          ),
      }),
    ),
  )
}
