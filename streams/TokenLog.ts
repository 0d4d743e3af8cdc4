// The log of everything said about requests after their acceptance: frames of entries, each
// request's in one partition. What is appended here and counts by the fold is what clients see, and
// nothing else is.
//
//     partition of a request = hash(requestId) % partitions       for as long as the topic lives
//
// Durability and order are the Log's: an append that is acknowledged is durable; frames of one
// process to one partition keep their order; frames of several processes interleave in one order
// for all readers.
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { codecs } from "../schemas/codec.ts"
import type { TokenEntry, TokenFrame } from "../schemas/types.ts"
import { type Bounds, Log, type LogError, type OnAppended } from "./Log.ts"
import { partitionsOf } from "./partitionsOf.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { requestTime } from "./requestId.ts"
import { tokenPartition, tokenTopic } from "./topics.ts"

export interface TokenTail {
  /** Where each partition starts: an offset, or "end". */
  readonly from: ReadonlyMap<number, number> | "end"
  /** Frames of one partition arrive in offset order, without gap or repetition. */
  readonly onFrames: (partition: number, frames: ReadonlyArray<ReadRecord<TokenFrame>>) => void
  /** Called once when the tail cannot go on. */
  readonly onError: (error: LogError) => void
}

/** Clocks of processes that write ids and of the log may differ by it. All of it is read again. */
const clockSlackMs = 2000

export class TokenLog extends Context.Service<
  TokenLog,
  {
    readonly partitions: number
    readonly partitionOf: (requestId: string) => number
    /** Durable when it succeeds; the offset is the frame's. For what is rare: cancels, reapers. */
    readonly append: (
      partition: number,
      writer: string,
      entries: ReadonlyArray<TokenEntry>,
    ) => Effect.Effect<number, LogError>
    /**
     * The same without a fiber, for every flush. Encodes before it returns: the entries may be
     * changed afterwards. `done` is called once, in append order within a partition.
     */
    readonly appendThen: (
      partition: number,
      writer: string,
      entries: ReadonlyArray<TokenEntry>,
      done: OnAppended,
    ) => void
    /** From `offset` on, at most `bytesMax` but one frame at least; empty at the end. */
    readonly readFrom: (
      partition: number,
      offset: number,
      bytesMax: number,
    ) => Effect.Effect<ReadonlyArray<ReadRecord<TokenFrame>>, LogError>
    readonly bounds: (partition: number) => Effect.Effect<Bounds, LogError>
    /**
     * An offset at or below every entry of the request, by its id's time less a slack for clocks.
     * Where retention has already passed that time it is the partition's first offset.
     */
    readonly startOf: (requestId: string) => Effect.Effect<number, LogError>
    /** Follows all partitions until the scope closes. */
    readonly tail: (options: TokenTail) => Effect.Effect<void, LogError, Scope.Scope>
  }
>()("sluice/streams/TokenLog") {
  /** The topic must be there: `createTopics(sharedTopics(...))` comes first. */
  static readonly layer = Layer.effect(
    TokenLog,
    Effect.gen(function* () {
      const log = yield* Log
      const clock = yield* Clock.Clock
      const partitions = yield* partitionsOf(tokenTopic)
      const at = (partition: number) => ({ topic: tokenTopic, partition })
      const partitionOf = (requestId: string) => tokenPartition(requestId, partitions)
      const record = (writer: string, entries: ReadonlyArray<TokenEntry>) => {
        const writtenAt = clock.currentTimeMillisUnsafe()
        return { key: null, value: codecs.tokenFrame.encode({ writer, writtenAt, entries }) }
      }
      return TokenLog.of({
        partitions,
        partitionOf,
        append: (partition, writer, entries) =>
          Effect.suspend(() => log.append(at(partition), [record(writer, entries)])),
        appendThen: (partition, writer, entries, done) =>
          log.appendThen(at(partition), [record(writer, entries)], done),
        readFrom: (partition, offset, bytesMax) =>
          Effect.map(log.read(at(partition), offset, bytesMax), (records) =>
            readRecords(codecs.tokenFrame, records),
          ),
        bounds: (partition) => log.bounds(at(partition)),
        startOf: (requestId) =>
          log.offsetAt(at(partitionOf(requestId)), requestTime(requestId) - clockSlackMs),
        tail: ({ from, onFrames, onError }) =>
          log.tail({
            topic: tokenTopic,
            from,
            onRecords: ({ partition }, records) =>
              onFrames(partition, readRecords(codecs.tokenFrame, records)),
            onError,
          }),
      })
    }),
  )
}
