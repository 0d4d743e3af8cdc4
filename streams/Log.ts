// The port to a durable, partitioned, ordered log: all that Sluice asks of Kafka or of the embedded
// store. Typed logs (RequestLog, TokenLog ...) are built on it once; adapters know only bytes.
// Offsets of one partition, drawn on a line:
//
//     first                       committed            next
//       |  retained and readable     |   in flight       |  <- append goes here
//   ----[===========================|==================)------
//
// `first` moves up by retention, `committed` (per group) by commit, `next` by append.
import { Context, Effect, Schema, type Scope } from "effect"

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  /**
   * "delete": by age and bytes. "compact": of each key the newest record is kept, until it is older
   * than retentionMs; offsets have gaps then, and a reader may miss what was replaced.
   */
  readonly cleanup: "delete" | "compact"
  readonly retentionMs: number
  /** Of each partition. */
  readonly retentionBytes: number
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface LogRecord {
  readonly offset: number
  /** ms since the epoch, set by the log at append. */
  readonly timestamp: number
  readonly key: string | null
  readonly value: Uint8Array
}

export interface AppendRecord {
  readonly key: string | null
  readonly value: Uint8Array
}

export interface Bounds {
  readonly first: number
  readonly next: number
}

export class LogError extends Schema.TaggedError<LogError>()("LogError", {
  reason: Schema.Literals([
    "unavailable",
    "unknownOutcome",
    "noSuchTopic",
    "topicNarrower",
    "outOfRange",
    "full",
    "tooLarge",
    "corrupt",
    "otherFormat",
    "closed",
    "fenced",
  ]),
  message: Schema.String,
}) {}

/**
 * Batches of one partition arrive in offset order, without gap (but of compaction) or repetition.
 */
export type OnRecords = (partition: TopicPartition, records: ReadonlyArray<LogRecord>) => void

export interface TailOptions {
  readonly topic: string
  /**
   * Where each partition starts: an offset, or "end". A start below `first` fails with outOfRange.
   */
  readonly from: ReadonlyMap<number, number> | "end"
  readonly onRecords: OnRecords
  /** Called once when the tail cannot go on. */
  readonly onError: (error: LogError) => void
}

export interface ConsumerOptions {
  readonly group: string
  /** Unique among live members. */
  readonly member: string
  readonly topics: ReadonlyArray<string>
  /** Partitions are shared out in proportion to it. */
  readonly slots: number
  readonly handler: ConsumerHandler
}

/**
 * The epoch counts assignments of this member. Records that arrived under an older epoch may since
 * belong to somebody else: their completions are dropped by `commit`. A partition that is kept over
 * an epoch change may deliver its uncommitted records again: the caller keeps an in-flight table.
 */
export interface ConsumerHandler {
  /** The whole new assignment. Delivery starts at each partition's committed offset. */
  readonly onAssigned: (epoch: number, partitions: ReadonlyArray<TopicPartition>) => void
  /** Must only enqueue. */
  readonly onRecords: (
    epoch: number,
    partition: TopicPartition,
    records: ReadonlyArray<LogRecord>,
  ) => void
  /**
   * These are on their way into an owned partition: a log that can tell says so once, before it
   * delivers them. They may yet fail to get there, so nothing that outlives this process may follow
   * from it.
   */
  readonly onEarly?: (partition: TopicPartition, records: ReadonlyArray<AppendRecord>) => void
  /** Called once when the consumer cannot go on; its partitions move to others. */
  readonly onError: (error: LogError) => void
}

export interface Commit extends TopicPartition {
  /** The next offset to be read: everything below it is done. Never moves back. */
  readonly offset: number
}

export interface Consumer {
  /** Commits of an epoch that is over, or of partitions not owned, are dropped, not failed. */
  readonly commit: (epoch: number, commits: ReadonlyArray<Commit>) => Effect.Effect<void, LogError>
  /** No records of these partitions are delivered until resumed. Survives a kept assignment. */
  readonly pause: (partitions: ReadonlyArray<TopicPartition>) => void
  readonly resume: (partitions: ReadonlyArray<TopicPartition>) => void
}

/** The outcome of a hot-path append: exactly one call, in append order within a partition. */
export type OnAppended = (error: LogError | null, offset: number) => void

export class Log extends Context.Service<
  Log,
  {
    /** Creates what is missing, idempotently. A topic that is narrower than asked fails. */
    readonly createTopics: (topics: ReadonlyArray<TopicSpec>) => Effect.Effect<void, LogError>
    readonly topics: Effect.Effect<ReadonlyArray<TopicSpec>, LogError>
    /**
     * Durable (fsync, or all in-sync replicas) when it succeeds; the offset is the first record's.
     * Records of one call are contiguous. "unknownOutcome": they may or may not be there; read
     * back.
     */
    readonly append: (
      partition: TopicPartition,
      records: ReadonlyArray<AppendRecord>,
    ) => Effect.Effect<number, LogError>
    /**
     * The same without a fiber, for the hot path. Appends of one process to one partition keep
     * their call order; commits are grouped over all callers.
     */
    readonly appendThen: (
      partition: TopicPartition,
      records: ReadonlyArray<AppendRecord>,
      done: OnAppended,
    ) => void
    /**
     * A range read without a group: from `offset` on, at most `bytesMax` (at least one record if
     * any is there), never a record below `offset`; empty at the end. Below `first`: outOfRange.
     */
    readonly read: (
      partition: TopicPartition,
      offset: number,
      bytesMax: number,
    ) => Effect.Effect<ReadonlyArray<LogRecord>, LogError>
    readonly bounds: (partition: TopicPartition) => Effect.Effect<Bounds, LogError>
    /** The first offset whose timestamp is at or after `timestamp`; `next` where there is none. */
    readonly offsetAt: (
      partition: TopicPartition,
      timestamp: number,
    ) => Effect.Effect<number, LogError>
    /** Follows a topic until the scope closes. Wakes within 1 ms of an append of any process. */
    readonly tail: (options: TailOptions) => Effect.Effect<void, LogError, Scope.Scope>
    /** Joins the group until the scope closes; leaving hands the partitions over at once. */
    readonly consume: (options: ConsumerOptions) => Effect.Effect<Consumer, LogError, Scope.Scope>
    readonly committed: (
      group: string,
      partition: TopicPartition,
    ) => Effect.Effect<number | null, LogError>
  }
>()("sluice/streams/Log") {}

/** `append` of a log that has `appendThen`. */
export const awaited =
  (appendThen: Log["Service"]["appendThen"]): Log["Service"]["append"] =>
  (partition, records) =>
    Effect.callback((resume) => {
      appendThen(partition, records, (error, offset) =>
        resume(error === null ? Effect.succeed(offset) : Effect.fail(error)),
      )
    })
