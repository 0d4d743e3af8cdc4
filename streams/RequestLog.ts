// The log of accepted requests: one topic for each model version and tier. A request is
// acknowledged to its client only after its append here is durable; a record is committed by the
// worker group only when the request's terminal entry, and those of all earlier offsets of the
// partition, are durable.
import { Context, Effect, Layer, type Scope } from "effect"
import { CodecError, codecs } from "../schemas/codec.ts"
import type { RequestAccepted, Tier } from "../schemas/types.ts"
import { type ChatWanted, findChat } from "./findChat.ts"
import { findRequestAt, type FoundRequest } from "./findRequest.ts"
import { makeFindTogether } from "./findTogether.ts"
import { type AppendRecord, type Consumer, Log, type LogError, type TopicPartition } from "./Log.ts"
import { partitionsOf } from "./partitionsOf.ts"
import { type ReadRecord, readRecords } from "./readRecord.ts"
import { groupOfTopic, isRequestTopic, requestTopic, tiers, workerGroup } from "./topics.ts"

export type RequestRecord = ReadRecord<RequestAccepted>

export interface RequestConsumerOptions {
  readonly model: string
  readonly version: string
  /** Unique among live workers. */
  readonly member: string
  /** Partitions are shared out in proportion to it. */
  readonly slots: number
  readonly onAssigned: (epoch: number, partitions: ReadonlyArray<TopicPartition>) => void
  /** Must only enqueue. See Log.ts for what an epoch means. */
  readonly onRequests: (
    epoch: number,
    partition: TopicPartition,
    requests: ReadonlyArray<RequestRecord>,
  ) => void
  /** See Log.ts: these may never be delivered. */
  readonly onEarly?: (
    partition: TopicPartition,
    requests: ReadonlyArray<{ readonly request: RequestAccepted; readonly bytes: Uint8Array }>,
  ) => void
  readonly onError: (error: LogError) => void
}

const readEarly = (records: ReadonlyArray<AppendRecord>) =>
  records.flatMap(({ value: bytes }) => {
    const request = codecs.requestAccepted.decode(bytes)
    return request instanceof CodecError ? [] : [{ request, bytes }]
  })

export interface RequestPlace {
  readonly partition: number
  /**
   * What the partition was chosen by: the prompt-cache key, or a hash of the prompt's beginning.
   */
  readonly key: string
}

export class RequestLog extends Context.Service<
  RequestLog,
  {
    /** Of the topic of this model version and tier. */
    readonly partitions: (
      model: string,
      version: string,
      tier: Tier,
    ) => Effect.Effect<number, LogError>
    /** To the topic of the request's own model, version and tier. Durable when it succeeds. */
    readonly append: (
      request: RequestAccepted,
      place: RequestPlace,
    ) => Effect.Effect<number, LogError>
    /**
     * Looks for a request in every request topic, from its id's time less a slack for clocks up to
     * some time after it, and no further: "unknown" is not there, "gone" may have been before
     * retention.
     */
    readonly find: (requestId: string) => Effect.Effect<FoundRequest, LogError>
    /** The newest request of a chat; null: none since the time given. */
    readonly findChat: (wanted: ChatWanted) => Effect.Effect<RequestAccepted | null, LogError>
    /** The same in one partition: a few reads, however many models there are. */
    readonly findAt: (
      partition: TopicPartition,
      requestId: string,
    ) => Effect.Effect<FoundRequest, LogError>
    /** Joins the worker group of a model version, over its tiers, until the scope closes. */
    readonly consume: (
      options: RequestConsumerOptions,
    ) => Effect.Effect<Consumer, LogError, Scope.Scope>
    /** Of every model version and tier that the log has topics for. */
    readonly allPartitions: Effect.Effect<ReadonlyArray<TopicPartition>, LogError>
    /** Every request of the partition below it has ended, or is no longer kept. */
    readonly settledBelow: (partition: TopicPartition) => Effect.Effect<number, LogError>
    /** From `offset` on, at most `bytesMax` but one record at least; empty at the end. */
    readonly readFrom: (
      partition: TopicPartition,
      offset: number,
      bytesMax: number,
    ) => Effect.Effect<ReadonlyArray<RequestRecord>, LogError>
    /** What the worker group of a model version has committed of one of its partitions. */
    readonly committed: (
      model: string,
      version: string,
      partition: TopicPartition,
    ) => Effect.Effect<number | null, LogError>
  }
>()("sluice/streams/RequestLog") {
  /** The topics must be there: `createTopics(modelTopics(...))` comes first. */
  static readonly layer = Layer.effect(
    RequestLog,
    Effect.gen(function* () {
      const log = yield* Log
      return RequestLog.of({
        partitions: (model, version, tier) =>
          Effect.provideService(partitionsOf(requestTopic(model, version, tier)), Log, log),
        append: (request, { partition, key }) =>
          Effect.suspend(() =>
            log.append(
              { topic: requestTopic(request.model, request.version, request.tier), partition },
              [{ key, value: codecs.requestAccepted.encode(request) }],
            ),
          ),
        find: makeFindTogether(log),
        findAt: (partition, requestId) => findRequestAt(log, partition, requestId),
        findChat: (wanted) => findChat(log, wanted),
        consume: ({ model, version, member, slots, onAssigned, onRequests, onEarly, onError }) =>
          log.consume({
            group: workerGroup(model, version),
            member,
            topics: tiers.map((tier) => requestTopic(model, version, tier)),
            slots,
            handler: {
              onAssigned,
              onRecords: (epoch, partition, records) =>
                onRequests(epoch, partition, readRecords(codecs.requestAccepted, records)),
              ...(onEarly === undefined
                ? {}
                : { onEarly: (partition, records) => onEarly(partition, readEarly(records)) }),
              onError,
            },
          }),
        allPartitions: Effect.map(log.topics, (topics) =>
          topics
            .filter(({ name }) => isRequestTopic(name))
            .flatMap(({ name: topic, partitions }) =>
              Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
            ),
        ),
        settledBelow: Effect.fnUntraced(function* (partition) {
          const { first } = yield* log.bounds(partition)
          const committed = yield* log.committed(groupOfTopic(partition.topic), partition)
          return Math.max(first, committed ?? first)
        }),
        readFrom: (partition, offset, bytesMax) =>
          Effect.map(log.read(partition, offset, bytesMax), (records) =>
            readRecords(codecs.requestAccepted, records),
          ),
        committed: (model, version, partition) =>
          log.committed(workerGroup(model, version), partition),
      })
    }),
  )
}
