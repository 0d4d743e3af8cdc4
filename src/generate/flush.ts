// Entries to frames, one frame a partition a flush. It promises that entries of a partition reach
// the log in the order in which they were added, each in one frame, with at most one append
// outstanding a partition: what comes meanwhile goes into the next frame (group commit).
//
// A request's first token, an end and an adopting claim go as soon as the partition is idle; other
// tokens wait for company a little; a fresh request's claim waits for its first token, so that the
// two share one commit. An append whose outcome is unknown is sent again as it was: the fold drops
// what it already holds.
import type { TokenEntry } from "../../schemas/types.ts"
import type { LogError, OnAppended } from "../../streams/Log.ts"

/** Of one frame: entries, tokens and their alternatives; about 15 bytes each, so 250 kB. */
const frameWeightMax = 16_384
const retryMs = 100
/** An append that fails for so long ends the worker; what it had not logged is generated again. */
const patienceMs = 30_000

/** Called with the log offset of the frame that holds the entry, once it is durable. */
export type Landed = (offset: number) => void

export interface FrameWriterOptions {
  readonly partitions: number
  readonly flushMs: number
  readonly now: () => number
  readonly after: (ms: number, run: () => void) => void
  readonly append: (partition: number, entries: ReadonlyArray<TokenEntry>, done: OnAppended) => void
  /** Called once when the log takes nothing more. */
  readonly onLost: (error: LogError) => void
}

/**
 * now: as soon as the partition is idle. soon: flushMs after the partition's last flush at the
 * latest. lazy: rather with what comes next than alone, but no longer than flushMs.
 */
export type Urgency = "now" | "soon" | "lazy"

interface Pending {
  readonly entry: TokenEntry
  readonly landed: Landed | null
}

/** One partition's entries that are not yet on their way. */
export class FrameBuffer {
  pending: Array<Pending> = []
  /**
   * Grows when entries leave: an entry added under an older number must not be changed any more.
   */
  number = 0
  urgent = false
  /** Holds more than first claims. */
  soon = false
  /** Since when it holds nothing but first claims. */
  lazySince: number | null = null
  outstanding = false
  flushedAt = 0
  failingSince: number | null = null

  add(entry: TokenEntry, urgency: Urgency, landed: Landed | null = null): void {
    this.pending.push({ entry, landed })
    if (urgency === "now") this.urgent = true
    else if (urgency === "soon") this.soon = true
  }

  /** How long until it is due. */
  waitMs(nowMs: number, flushMs: number): number {
    if (this.urgent) return 0
    this.lazySince ??= nowMs
    const since = this.soon ? this.flushedAt : this.lazySince
    const ms = since + flushMs - nowMs
    // A clock that was set back must not hold entries for longer than the rule says.
    return ms > flushMs ? 0 : ms
  }

  /** As many entries as one frame may hold, at least one. */
  take(): Array<Pending> {
    this.number++
    let weight = 0
    let count = 0
    while (count < this.pending.length) {
      weight += weightOf(this.pending[count]!.entry)
      if (count > 0 && weight > frameWeightMax) break
      count++
    }
    const taken = this.pending
    this.pending = taken.splice(count)
    this.urgent = this.urgent && this.pending.length > 0
    this.soon = this.pending.length > 0
    this.lazySince = null
    return taken
  }
}

const weightOf = (entry: TokenEntry): number => {
  if (entry.kind !== "TokensGenerated" && entry.kind !== "PromptScored") return 8
  const tokens = entry.kind === "TokensGenerated" ? entry.ids.length : 0
  const alternatives = entry.logprobs?.reduce((sum, scored) => sum + 1 + scored.top.length, 0)
  return 8 + tokens + (alternatives ?? 0)
}

const mayPass = (error: LogError) =>
  error.reason === "unavailable" || error.reason === "unknownOutcome" || error.reason === "full"

export class FrameWriter {
  readonly #options: FrameWriterOptions
  readonly #buffers: ReadonlyArray<FrameBuffer>
  #timerArmed = false
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
    for (const buffer of this.#buffers) buffer.urgent = buffer.pending.length > 0
    this.flush()
  }

  /** True while anything is on its way or waits. */
  get busy(): boolean {
    return this.#buffers.some((buffer) => buffer.outstanding || buffer.pending.length > 0)
  }

  get entriesPending(): number {
    return this.#buffers.reduce((sum, buffer) => sum + buffer.pending.length, 0)
  }

  #flushPartition(partition: number, now: number): void {
    const buffer = this.#buffers[partition]!
    if (buffer.outstanding || buffer.pending.length === 0 || this.#lost) return
    const waitMs = buffer.waitMs(now, this.#options.flushMs)
    if (waitMs > 0) return this.#arm(waitMs)
    buffer.flushedAt = now
    buffer.outstanding = true
    this.#send(partition, buffer.take())
  }

  #arm(ms: number): void {
    if (this.#timerArmed) return
    this.#timerArmed = true
    this.#options.after(ms, () => {
      this.#timerArmed = false
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
    if (!mayPass(error) || now - buffer.failingSince > patienceMs) {
      this.#lost = true
      return this.#options.onLost(error)
    }
    this.#options.after(retryMs, () => this.#send(partition, frame))
  }
}
