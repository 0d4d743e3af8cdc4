// Entries to frames, one frame a partition a flush. It promises that entries of a request reach the
// log in the order in which they were added, each in one frame, with at most one append outstanding
// a partition: what comes meanwhile goes into the next frame (group commit).
//
// A request's first token, an end and an adopting claim go as soon as the partition is idle, with
// what waits of the same request and nothing else; other tokens wait for company a little, the
// longer the more streams there are, and longest those of an answer that is shown only whole; a
// fresh request's claim waits for its first token, so that the two share one commit. An append
// whose outcome is unknown is sent again as it was: the fold drops what it already holds.
import type { TokenEntry } from "../../schemas/types.ts"
import type { LogError, OnAppended } from "../../streams/Log.ts"
import { FrameBuffer, type Pending } from "./frameBuffer.ts"

/**
 * An entry costs every later stage about so much, however many tokens it holds: with many streams
 * each entry waits for more tokens, so that entries take no more than this share of time.
 */
const entryWaitMs = 0.05
/** Streams never stutter by more than this for the sake of company. */
const stretchedMsMax = 50

export interface FrameWriterOptions {
  readonly partitions: number
  readonly flushMs: number
  /** Between tries of an append that failed and may yet succeed. */
  readonly retryMs: number
  /** An append that fails for so long ends the worker; what was not logged is generated again. */
  readonly patienceMs: number
  readonly now: () => number
  readonly after: (ms: number, run: () => void) => void
  readonly append: (partition: number, entries: ReadonlyArray<TokenEntry>, done: OnAppended) => void
  /** Called once when the log takes nothing more. */
  readonly onLost: (error: LogError) => void
}

const mayPass = (error: LogError) =>
  error.reason === "unavailable" || error.reason === "unknownOutcome" || error.reason === "full"

export class FrameWriter {
  readonly #options: FrameWriterOptions
  readonly #buffers: ReadonlyArray<FrameBuffer>
  /** When the next timer fires that looks for what is due. */
  #armedUntil = Infinity
  #lost = false

  constructor(options: FrameWriterOptions) {
    this.#options = options
    this.#buffers = Array.from({ length: options.partitions }, () => new FrameBuffer())
  }

  buffer(partition: number): FrameBuffer {
    const buffer = this.#buffers[partition]
    if (buffer === undefined) throw new RangeError(`no token partition ${partition}`)
    return buffer
  }

  /** Sends what is due. Called at the end of every turn that added entries. */
  flush(): void {
    const now = this.#options.now()
    for (let partition = 0; partition < this.#buffers.length; partition++) {
      this.#flushPartition(partition, now)
    }
  }

  /** Sends everything as soon as each partition is idle. */
  flushAll(): void {
    for (const buffer of this.#buffers) buffer.hurryAll()
    this.flush()
  }

  /** True while anything is on its way or waits. */
  get busy(): boolean {
    return this.#buffers.some((buffer) => buffer.outstanding || buffer.size > 0)
  }

  get entriesPending(): number {
    return this.#buffers.reduce((sum, buffer) => sum + buffer.size, 0)
  }

  #flushPartition(partition: number, now: number): void {
    const buffer = this.#buffers[partition]!
    if (buffer.outstanding || buffer.size === 0 || this.#lost) return
    const waitMs = buffer.waitMs(now, this.#flushMs)
    const frame = waitMs > 0 ? buffer.takeUrgent() : buffer.takeDue(now)
    if (frame.length === 0) return this.#arm(now, waitMs)
    // What did not fit into the frame is as due as this is.
    if (waitMs === 0 && buffer.awaited === 0) buffer.flushedAt = now
    buffer.outstanding = true
    this.#send(partition, frame)
  }

  /** How long entries wait for company now. */
  get #flushMs(): number {
    const awaited = this.#buffers.reduce((sum, buffer) => sum + buffer.awaited, 0)
    const stretched = Math.min(stretchedMsMax, awaited * entryWaitMs)
    return Math.max(this.#options.flushMs, stretched)
  }

  #arm(now: number, ms: number): void {
    const at = now + ms
    if (at >= this.#armedUntil) return
    this.#armedUntil = at
    this.#options.after(ms, () => {
      if (this.#armedUntil === at) this.#armedUntil = Infinity
      this.flush()
    })
  }

  #send(partition: number, frame: ReadonlyArray<Pending>): void {
    const entries = frame.map((pending) => pending.entry)
    this.#options.append(partition, entries, (error, offset) => {
      if (this.#lost) return
      const buffer = this.#buffers[partition]!
      if (error !== null) return this.#failed(partition, frame, error)
      buffer.failingSince = null
      buffer.outstanding = false
      for (const pending of frame) pending.landed?.(offset)
      this.#flushPartition(partition, this.#options.now())
    })
  }

  #failed(partition: number, frame: ReadonlyArray<Pending>, error: LogError): void {
    const buffer = this.#buffers[partition]!
    const now = this.#options.now()
    buffer.failingSince ??= now
    if (!mayPass(error) || now - buffer.failingSince > this.#options.patienceMs) {
      this.#lost = true
      return this.#options.onLost(error)
    }
    this.#options.after(this.#options.retryMs, () => this.#send(partition, frame))
  }
}
