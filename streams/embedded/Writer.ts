// The serving thread's side of the writer thread. Appends wait here while a commit is under way and
// go with the next one, all callers' together: that is the group commit. Nothing is lost in
// silence: each append and each call is answered once, also when the thread is gone.
import type { Worker } from "node:worker_threads"
import { Effect } from "effect"
import { emptyGroup } from "../group/groupState.ts"
import { type AppendRecord, LogError, type OnAppended, type TopicPartition } from "../Log.ts"
import { recordBytes, recordBytesMax } from "./format.ts"
import { pack, type PackedAppend, type Packed } from "./pack.ts"
import type { WriterCall, WriterReply } from "./writerCalls.ts"

/**
 * What may wait for a commit; an append beyond it fails. At 50 MB/s it is some seconds of writing.
 */
const waitingBytesMax = 256 * 1024 * 1024
/** What one commit takes; it bounds how long the next one waits. */
const commitBytesAim = 8 * 1024 * 1024
/** LMDB's own bound on keys is 1978 bytes. */
const compactedKeyBytesMax = 1024

interface Waiting extends PackedAppend {
  readonly at: TopicPartition
  readonly bytes: number
  readonly done: OnAppended
}

/** An append on its way. */
export type Committing = Pick<Waiting, "at" | "records">

type OnReply = (reply: WriterReply) => void

export interface AppendTarget {
  readonly at: TopicPartition
  readonly topicId: number
  readonly compacted: boolean
}

export interface WriterOptions {
  readonly now: () => number
  /**
   * These go to the disk now, and nothing else was on its way there. While one commit follows the
   * other nothing is announced: then time goes by in the queue, not on the disk.
   */
  readonly onCommitting: (appends: ReadonlyArray<Committing>) => void
  /** These have new records. Called after their appends were acknowledged. */
  readonly onAppended: (partitions: ReadonlyArray<TopicPartition>) => void
  /** The thread is gone; nothing can be written any more. */
  readonly onLost: (error: LogError) => void
}

const closedError = () => new LogError({ reason: "closed", message: "The log is closed." })

const lostError = (cause: string) =>
  new LogError({
    reason: "unknownOutcome",
    message: `The log's writer ended (${cause}): whether this was written is not known.`,
  })

const tooLarge = (bytes: number, bytesMax: number) =>
  new LogError({
    reason: "tooLarge",
    message: `A record (or its key) has ${bytes} bytes, more than the log's ${bytesMax}.`,
  })

const refusal = (target: AppendTarget, records: ReadonlyArray<AppendRecord>): LogError | null => {
  for (const record of records) {
    const bytes = recordBytes(record)
    if (bytes > recordBytesMax) return tooLarge(bytes, recordBytesMax)
    if (!target.compacted) continue
    const keyBytes = Buffer.byteLength(record.key ?? "")
    if (keyBytes > compactedKeyBytesMax) return tooLarge(keyBytes, compactedKeyBytesMax)
  }
  return null
}

const failed = ({ reason, message }: LogError): WriterReply => ({
  failure: { reason, message },
  offsets: [],
  group: emptyGroup,
  more: false,
})

export class Writer {
  readonly #worker: Worker
  readonly #options: WriterOptions
  /** In the order in which they were sent: so are the answers. */
  readonly #sent: Array<OnReply> = []
  #waiting: Array<Waiting> = []
  #waitingBytes = 0
  #committing = false
  #scheduled = false
  /** Why nothing new is taken. */
  #ended: LogError | null = null
  /** The thread is no more. */
  #gone = false

  constructor(worker: Worker, options: WriterOptions) {
    this.#worker = worker
    this.#options = options
    worker.on("message", (reply: WriterReply) => this.#sent.shift()?.(reply))
    worker.on("error", (error) => this.#lose(String(error)))
    worker.on("exit", (code) => this.#lose(`exit code ${code}`))
  }

  append(target: AppendTarget, records: ReadonlyArray<AppendRecord>, done: OnAppended): void {
    const error = this.#ended ?? refusal(target, records) ?? this.#overflow(records)
    if (error !== null) {
      setImmediate(done, error, -1)
      return
    }
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0)
    const { at, topicId, compacted } = target
    const partition = at.partition
    this.#waiting.push({ at, topicId, partition, compacted, records, bytes, done })
    this.#waitingBytes += bytes
    this.#schedule()
  }

  /** Any call but an append: a transaction of its own, after what was sent before it. */
  readonly call = (
    call: Exclude<WriterCall, { readonly kind: "append" }>,
  ): Effect.Effect<WriterReply, LogError> =>
    Effect.callback((resume) => {
      this.#send(call, (reply) => {
        const { failure } = reply
        resume(failure === null ? Effect.succeed(reply) : Effect.fail(new LogError(failure)))
      })
    })

  /** Writes what waits, then ends the thread. Appends from now on fail with "closed". */
  readonly close: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const finish = () => {
      if (this.#gone) {
        resume(Effect.void)
        return
      }
      if (this.#committing || this.#waiting.length > 0) {
        setImmediate(finish)
        return
      }
      this.#post({ kind: "close" }, () => undefined)
      this.#worker.once("exit", () => resume(Effect.void))
    }
    this.#ended ??= closedError()
    finish()
  })

  #overflow(records: ReadonlyArray<AppendRecord>): LogError | null {
    if (this.#waitingBytes < waitingBytesMax) return null
    return new LogError({
      reason: "unavailable",
      message: `${this.#waitingBytes} bytes wait to be written, no ${records.length} records more.`,
    })
  }

  /** Everything appended in this turn of the event loop goes together. */
  #schedule(): void {
    if (this.#committing || this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const taken = this.#commit()
      if (taken.length > 0) this.#options.onCommitting(taken)
    })
  }

  #commit(): ReadonlyArray<Waiting> {
    if (this.#gone) return []
    const taken = this.#take()
    if (taken.length === 0) return taken
    this.#committing = true
    const packed = pack(taken)
    const { bytes, groups } = packed
    const now = this.#options.now()
    this.#post({ kind: "append", now, bytes, groups }, (reply) => {
      this.#committing = false
      this.#settle(packed, reply)
      this.#commit()
    })
    return taken
  }

  #take(): ReadonlyArray<Waiting> {
    let bytes = 0
    let count = 0
    while (count < this.#waiting.length && bytes < commitBytesAim) {
      bytes += this.#waiting[count++]?.bytes ?? 0
    }
    this.#waitingBytes -= bytes
    const taken = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    return taken
  }

  #settle(packed: Packed<Waiting>, reply: WriterReply): void {
    if (reply.failure !== null) {
      const error = new LogError(reply.failure)
      for (const members of packed.members) for (const { done } of members) done(error, -1)
      return
    }
    packed.members.forEach((members, index) => {
      let offset = reply.offsets[index] ?? 0
      for (const { records, done } of members) {
        done(null, offset)
        offset += records.length
      }
    })
    this.#options.onAppended(packed.members.flatMap((members) => members[0]?.at ?? []))
  }

  #send(call: WriterCall, answered: OnReply): void {
    if (this.#ended === null) this.#post(call, answered)
    else setImmediate(answered, failed(this.#ended))
  }

  #post(call: WriterCall, answered: OnReply): void {
    this.#sent.push(answered)
    this.#worker.postMessage(call, call.kind === "append" ? [call.bytes] : [])
  }

  #lose(cause: string): void {
    if (this.#gone) return
    this.#gone = true
    const closing = this.#ended !== null
    const error = lostError(cause)
    this.#ended ??= error
    const waiting = this.#waiting.splice(0)
    for (const answered of this.#sent.splice(0)) answered(failed(error))
    for (const { done } of waiting) done(error, -1)
    if (!closing) this.#options.onLost(error)
  }
}
