// One token partition's entries that are not yet on their way, and which of them are due: a frame
// is taken from here. It promises that entries of a request leave in the order in which they were
// added. Entries of a request that is not yet in the log are held: they leave when it is, or never.
import type { TokenEntry } from "../../schemas/types.ts"

/** Of one frame: entries, tokens and their alternatives; about 15 bytes each, so 250 kB. */
const frameWeightMax = 16_384

/** Tokens that nobody sees before the answer's end wait for so much company. */
const wholeMs = 150

/** Called with the log offset of the frame that holds the entry, once it is durable. */
export type Landed = (offset: number) => void

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
  /** Of requests that are not known to be in the log: entries that nobody may see yet. */
  readonly #held = new Map<string, Array<Pending>>()
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
    const held = this.#held.get(entry.requestId)
    if (held === undefined) this.#push(pending)
    else held.push(pending)
    return pending
  }

  /** What is added of the request from now on stays here until it is released or forgotten. */
  hold(requestId: string): void {
    this.#held.set(requestId, [])
  }

  release(requestId: string): void {
    const held = this.#held.get(requestId) ?? []
    this.#held.delete(requestId)
    for (const pending of held) this.#push(pending)
  }

  forget(requestId: string): void {
    this.#held.delete(requestId)
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

  #push(pending: Pending): void {
    this.#pending.push(pending)
    this.#count(pending.urgency, 1)
    if (pending.urgency === "now") this.#urgent.add(pending.entry.requestId)
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
