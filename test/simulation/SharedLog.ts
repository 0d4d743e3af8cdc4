// The log that all simulated processes share: the log in memory on a machine of its own that never
// dies, as a cluster does not. It keeps a second account of what is durable, so that a client's
// events can be held against the log at the instant at which they come.
import { Context, Effect, Layer, Scope } from "effect"
import { codecs } from "../../schemas/codec.ts"
import type { RequestAccepted } from "../../schemas/types.ts"
import { Log, type LogRecord, type TopicPartition } from "../../streams/Log.ts"
import { memoryLog } from "../../streams/memory/MemoryLog.ts"
import { readRecord } from "../../streams/readRecord.ts"
import {
  isRequestTopic,
  modelTopics,
  sharedTopics,
  tokenTopic,
  type TopicOptions,
} from "../../streams/topics.ts"
import { type FrameRecord, ReferenceFold } from "../support/checker/referenceFold.ts"
import { Leaders } from "./Leaders.ts"
import type { Machine } from "./Machine.ts"

/** Of the shared log's own members: they never fail, the network before them does. */
const groupTimes = { heartbeatMs: 3_600_000, checkMs: 3_600_000, sessionMs: 36_000_000 }

const retentionEveryMs = 250

export class SharedLog {
  readonly machine: Machine
  readonly leaders: Leaders
  readonly fold = new ReferenceFold()
  readonly requests = new Map<
    string,
    { readonly request: RequestAccepted; readonly at: TopicPartition }
  >()
  /** Requests of which a record between others was damaged. */
  readonly damaged = new Set<string>()
  #damagedAt: { readonly partition: number; readonly offset: number } | null = null
  #log: Log["Service"] | null = null
  readonly #options: TopicOptions

  constructor(machine: Machine, options: TopicOptions) {
    this.machine = machine
    this.leaders = new Leaders(machine)
    this.#options = options
    const layer = memoryLog({ retentionEveryMs, groupTimes })
    const made = Effect.gen({ self: this }, function* () {
      const context = yield* Layer.buildWithScope(Layer.fresh(layer), Scope.makeUnsafe())
      const base = Context.get(context, Log)
      yield* base.createTopics(this.#topics(options))
      this.#log = this.#watched(base)
    })
    machine.fork(made)
  }

  get isReady(): boolean {
    return this.#log !== null
  }

  get log(): Log["Service"] {
    if (this.#log === null) throw new Error("the shared log is not there yet")
    return this.#log
  }

  /** From now on it keeps so little of the tokens that their beginnings go. */
  forget(retentionBytes: number): void {
    const topics = this.#topics({ ...this.#options, retentionBytes })
    this.machine.fork(this.log.createTopics(topics.filter(({ name }) => name === tokenTopic)))
  }

  /** From now on nobody can read this record of the token log. */
  damage(record: FrameRecord): void {
    this.#damagedAt = { partition: record.partition, offset: record.offset }
    for (const { requestId } of record.frame?.entries ?? []) this.damaged.add(requestId)
  }

  readonly #seen = ({ topic, partition }: TopicPartition, record: LogRecord): LogRecord => {
    const at = this.#damagedAt
    const isDamaged =
      topic === tokenTopic && partition === at?.partition && record.offset === at.offset
    return isDamaged ? { ...record, value: record.value.subarray(0, -1) } : record
  }

  #topics(options: TopicOptions) {
    return [...sharedTopics(options), ...modelTopics("scripted", "1", options)]
  }

  #watched(base: Log["Service"]): Log["Service"] {
    return Log.of({
      ...base,
      read: (partition, offset, bytesMax) =>
        Effect.map(base.read(partition, offset, bytesMax), (records) =>
          records.map((record) => this.#seen(partition, record)),
        ),
      appendThen: (partition, records, done) =>
        base.appendThen(partition, records, (error, offset) => {
          if (error === null) {
            for (const [i, record] of records.entries()) {
              this.#note(partition, {
                ...record,
                offset: offset + i,
                timestamp: this.machine.now(),
              })
            }
          }
          done(error, offset)
        }),
    })
  }

  #note({ topic, partition }: TopicPartition, record: LogRecord): void {
    const { offset, timestamp } = record
    if (topic === tokenTopic) {
      const frame = readRecord(codecs.tokenFrame, record).value
      this.fold.take({ partition, offset, timestamp, frame })
    } else if (isRequestTopic(topic)) {
      const request = readRecord(codecs.requestAccepted, record).value
      if (request !== null && !this.requests.has(request.requestId)) {
        this.requests.set(request.requestId, { request, at: { topic, partition } })
      }
    }
  }
}
