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

/** Of one frame: entries, tokens and their alternatives; about 15 bytes each, so 250 kB. */
const frameWeightMax = 16_384
/**
 * An entry costs every later stage about so much, however many tokens it holds: with many streams
 * each entry waits for more tokens, so that entries take no more than this share of time.
 */
const entryWaitMs = 0.05
/** Streams never stutter by more than this for the sake of company. */
const stretchedMsMax = 50

/** Tokens that nobody sees before the answer's end wait for so much company. */
const wholeMs = 150

/** Called with the log offset of the frame that holds the entry, once it is durable. */
export type Landed = (offset: number) => void

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

/**
 * now: as soon as the partition is idle. soon: flushMs after the partition's last flush at the
 * latest. lazy: rather with what comes next than alone, but no longer than flushMs. late: nobody
 * waits for it, within wholeMs.
 */
export type Urgency = "now" | "soon" | "lazy" | "late"

/** An entry that is not yet on its way: until it is `taken`, its maker may add to it. */
export interface Pending {
  readonly entry: TokenEntry
  readonly urgency: Urgency
  readonly landed: Landed | null
  taken: boolean
}

/** One partition's entries that are not yet on their way. */
export class FrameBuffer {
  #pending: Array<Pending> = []
  /** Requests whose entries go at once. */
  readonly #urgent = new Set<string>()
  /** Entries that are neither first claims nor late. */
  #soon = 0
  #late = 0
  /** When the oldest late entry was added, or a little earlier. */
  #lateSince: number | null = null
  /** Since when it holds nothing but first claims. */
  #lazySince: number | null = null
  outstanding = false
  /** When all that waited was sent last. */
  flushedAt = 0
  failingSince: number | null = null

  /** In the order in which they were added. */
  get pending(): ReadonlyArray<Pending> {
    return this.#pending
  }

  get size(): number {
    return this.#pending.length
  }

  /** Entries whose readers wait. */
  get awaited(): number {
    return this.#pending.length - this.#late
  }

  add(entry: TokenEntry, urgency: Urgency, landed: Landed | null = null): Pending {
    const pending = { entry, urgency, landed, taken: false }
    this.#pending.push(pending)
    this.#count(urgency, 1)
    if (urgency === "now") this.#urgent.add(entry.requestId)
    return pending
  }

  /** What waits of the request goes at once. */
  hurry(requestId: string): void {
    this.#urgent.add(requestId)
  }

  hurryAll(): void {
    for (const { entry } of this.#pending) this.#urgent.add(entry.requestId)
  }

  /** How long until anything is due that is in no hurry. */
  waitMs(nowMs: number, flushMs: number): number {
    const rest = this.#pending.length > this.#late ? this.#restMs(nowMs, flushMs) : wholeMs
    return Math.min(rest, this.#lateMs(nowMs))
  }

  /** The next frame of what is due, where `waitMs` says 0: as many entries as it may hold. */
  takeDue(nowMs: number): Array<Pending> {
    if (this.#late > 0 && this.#lateMs(nowMs) === 0) return this.takeAll()
    return this.#take((pending) => pending.urgency !== "late" || this.#isUrgent(pending))
  }

  takeAll(): Array<Pending> {
    return this.#take(() => true)
  }

  /** The next frame of the requests in a hurry; empty where there are none. */
  takeUrgent(): Array<Pending> {
    if (this.#urgent.size === 0) return []
    return this.#take(this.#isUrgent)
  }

  #take(isWanted: (pending: Pending) => boolean): Array<Pending> {
    const taken: Array<Pending> = []
    const rest: Array<Pending> = []
    let weight = 0
    let isFull = false
    for (const pending of this.#pending) {
      if (!isFull && isWanted(pending)) {
        weight += weightOf(pending.entry)
        isFull = taken.length > 0 && weight > frameWeightMax
        if (!isFull) {
          pending.taken = true
          this.#count(pending.urgency, -1)
          taken.push(pending)
          continue
        }
      }
      rest.push(pending)
    }
    this.#pending = rest
    if (!isFull) this.#urgent.clear()
    if (this.#late === 0) this.#lateSince = null
    if (rest.length === this.#late) this.#lazySince = null
    return taken
  }

  #count(urgency: Urgency, by: number): void {
    if (urgency === "late") this.#late += by
    else if (urgency !== "lazy") this.#soon += by
  }

  readonly #isUrgent = ({ entry }: Pending): boolean => this.#urgent.has(entry.requestId)

  #restMs(nowMs: number, flushMs: number): number {
    this.#lazySince ??= nowMs
    return untilMs(this.#soon > 0 ? this.flushedAt : this.#lazySince, flushMs, nowMs)
  }

  #lateMs(nowMs: number): number {
    if (this.#late === 0) return wholeMs
    this.#lateSince ??= nowMs
    return untilMs(this.#lateSince, wholeMs, nowMs)
  }
}

/** A clock that was set back must not hold entries for longer than the rule says. */
const untilMs = (since: number, periodMs: number, nowMs: number): number => {
  const ms = since + periodMs - nowMs
  return ms > periodMs ? 0 : Math.max(0, ms)
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
