// What this gateway promised and has not yet seen the end of, and whether one more request can be
// done by its deadline: the tokens ahead of it against the rate at which they drain. While workers
// have free slots nobody is refused; whatever the rate, what is outstanding is bounded.
import type { Tier, WorkerStatus } from "../../schemas/types.ts"
import { DrainRate } from "./drainRate.ts"
import { isSaturated } from "./workerStates.ts"

export interface BacklogBounds {
  readonly requestsMax: number
  readonly tokensMax: number
}

const backlogBounds: BacklogBounds = { requestsMax: 131_072, tokensMax: 256 * 1024 * 1024 }

const retryMsMin = 500
const retryMsMax = 60_000
/** Past its deadline by so much, a request whose end was never seen is written off. */
const writeOffMs = 30_000
const writeOffEveryMs = 5_000

/** What a request holds until it ends: its prompts and all the output it may have. */
export interface Holding {
  readonly requestId: string
  readonly tokens: number
  readonly tier: Tier
  /** "topic/partition" */
  readonly partition: string
  /** ms since the epoch */
  readonly deadline: number
}

export interface Refusal {
  readonly message: string
  readonly retryAfterMs: number
  readonly numbers: Readonly<Record<string, number>>
}

/** Whose tokens a worker does before or beside those of a tier. */
const ahead: Readonly<Record<Tier, ReadonlyArray<Tier>>> = {
  priority: ["priority"],
  default: ["priority", "default"],
  flex: ["priority", "default", "flex"],
}

const sum = (numbers: Iterable<number>) => {
  let total = 0
  for (const number of numbers) total += number
  return total
}

export class Backlog {
  readonly #bounds: BacklogBounds
  readonly #held = new Map<string, Holding>()
  readonly #tokens: Record<Tier, number> = { priority: 0, default: 0, flex: 0 }
  readonly #requests = new Map<string, number>()
  readonly #drain: DrainRate
  #statusAt = 0
  #heldSinceStatus = 0
  #writtenOffAt: number

  constructor(nowMs: number, bounds: BacklogBounds = backlogBounds) {
    this.#bounds = bounds
    this.#drain = new DrainRate(nowMs)
    this.#writtenOffAt = nowMs
  }

  /** Requests outstanding that this gateway sent to a partition. */
  requestsOf(partition: string): number {
    return this.#requests.get(partition) ?? 0
  }

  hold(holding: Holding): void {
    this.#held.set(holding.requestId, holding)
    this.#tokens[holding.tier] += holding.tokens
    this.#requests.set(holding.partition, this.requestsOf(holding.partition) + 1)
    this.#heldSinceStatus += 1
  }

  /** The request ended; unknown ids (another gateway's, or ended before) change nothing. */
  release(requestId: string): void {
    const holding = this.#forget(requestId)
    if (holding !== null) this.#drain.add(holding.tokens)
  }

  /** The request never was: its append failed. */
  forget(requestId: string): void {
    this.#forget(requestId)
  }

  /** null: it may be accepted. */
  refusal(
    asked: Omit<Holding, "requestId" | "partition">,
    workers: ReadonlyArray<WorkerStatus>,
    nowMs: number,
  ): Refusal | null {
    this.#writeOff(nowMs)
    const saturated = this.#isSaturated(workers)
    const rate = Math.max(
      this.#drain.perSecond(nowMs, saturated),
      sum(workers.map((worker) => worker.tokensPerSecond)),
    )
    const total = sum(Object.values(this.#tokens)) + asked.tokens
    if (this.#held.size >= this.#bounds.requestsMax || total > this.#bounds.tokensMax) {
      const excess = Math.max(asked.tokens, total - this.#bounds.tokensMax)
      const why = "The server has accepted as much as it may hold"
      return refusal(why, (excess / rate) * 1000, {
        requests_outstanding: this.#held.size,
        requests_max: this.#bounds.requestsMax,
        tokens_outstanding: total - asked.tokens,
        tokens_asked: asked.tokens,
        tokens_max: this.#bounds.tokensMax,
        tokens_per_second: Math.round(rate),
      })
    }
    if (!saturated || rate === 0) return null
    const tokensAhead = this.#aheadOf(asked.tier, workers)
    const doneMs = ((tokensAhead + asked.tokens) / rate) * 1000
    const leftMs = asked.deadline - nowMs
    if (doneMs <= leftMs) return null
    const why = "The backlog is too long to meet the request's deadline"
    return refusal(why, doneMs - leftMs, {
      tokens_ahead: Math.round(tokensAhead),
      tokens_asked: asked.tokens,
      tokens_per_second: Math.round(rate),
      deadline_ms: leftMs,
    })
  }

  /** Workers may hold more than this gateway knows of: other gateways' requests. */
  #aheadOf(tier: Tier, workers: ReadonlyArray<WorkerStatus>): number {
    const own = sum(ahead[tier].map((one) => this.#tokens[one]))
    const all = sum(Object.values(this.#tokens))
    const share = all === 0 ? 1 : own / all
    return Math.max(own, sum(workers.map((worker) => worker.tokensOutstanding)) * share)
  }

  /** Statuses are a heartbeat old: slots that requests took since are not free. */
  #isSaturated(workers: ReadonlyArray<WorkerStatus>): boolean {
    const statusAt = workers.reduce((latest, { at }) => Math.max(latest, at), 0)
    if (statusAt !== this.#statusAt) this.#heldSinceStatus = 0
    this.#statusAt = statusAt
    const free = sum(workers.map((worker) => worker.slotsFree))
    return isSaturated(workers) || free <= this.#heldSinceStatus
  }

  #forget(requestId: string): Holding | null {
    const holding = this.#held.get(requestId)
    if (holding === undefined) return null
    this.#held.delete(requestId)
    this.#tokens[holding.tier] -= holding.tokens
    const requests = this.requestsOf(holding.partition) - 1
    if (requests > 0) this.#requests.set(holding.partition, requests)
    else this.#requests.delete(holding.partition)
    return holding
  }

  #writeOff(nowMs: number): void {
    if (nowMs - this.#writtenOffAt < writeOffEveryMs) return
    this.#writtenOffAt = nowMs
    for (const { requestId, deadline } of this.#held.values()) {
      if (deadline + writeOffMs < nowMs) this.#forget(requestId)
    }
  }
}

const refusal = (why: string, waitMs: number, numbers: Refusal["numbers"]): Refusal => {
  const known = Number.isFinite(waitMs) ? waitMs : retryMsMin
  const retryAfterMs = Math.min(retryMsMax, Math.max(retryMsMin, Math.ceil(known)))
  const message = `${why}; try again in ${Math.ceil(retryAfterMs / 1000)} s.`
  return { message, retryAfterMs, numbers }
}
