// What the logs say of two versions side by side: how many requests ended and how, how long they
// waited for their first token, how often a worker was lost over them. Pure: records in, numbers of
// a span of time out, so that every process that reads the same logs has the same numbers.
import type { RequestAccepted, TokenEntry, TokenFrame } from "../../../schemas/types.ts"

/** The oldest requests are forgotten: about 300 bytes each. */
const requestsMax = 65_536
/** An answer of so many tokens that is one token over and over, or has none, is broken. */
const repeatedMin = 8

interface Seen {
  version: string | null
  acceptedAt: number
  firstAt: number | null
  endedAt: number | null
  outcome: "finished" | "failed" | "left" | null
  reclaimedAt: number | null
  tokens: number
  lastId: number
  /** Tokens in a row that were the same, up to the last one. */
  repeated: number
}

/** Of the requests of one version, in a span of time. */
export interface VersionNumbers {
  readonly requests: number
  readonly ended: number
  readonly failed: number
  /** Ended without a token, or with one over and over. */
  readonly broken: number
  /** Begun again after a worker was lost. */
  readonly reclaimed: number
  /** Who still waits counts with the time so far. */
  readonly firstTokens: number
  readonly ttftMsP50: number
  readonly ttftMsP95: number
}

const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

const isBroken = ({ outcome, tokens, repeated }: Seen): boolean =>
  outcome === "finished" && (tokens === 0 || (tokens >= repeatedMin && repeated >= tokens - 1))

export class CanaryNumbers {
  readonly #seen = new Map<string, Seen>()

  onRequest({ requestId, version, acceptedAt }: RequestAccepted): void {
    const seen = this.#of(requestId)
    seen.version = version
    seen.acceptedAt = acceptedAt
  }

  onFrame({ entries, writtenAt }: TokenFrame): void {
    for (const entry of entries) this.#onEntry(entry, writtenAt)
  }

  /** Of the time from `fromMs` up to `toMs`. */
  between(version: string, fromMs: number, toMs: number): VersionNumbers {
    const isIn = (at: number | null) => at !== null && at >= fromMs && at < toMs
    const count = { requests: 0, ended: 0, failed: 0, broken: 0, reclaimed: 0 }
    const waits: Array<number> = []
    for (const seen of this.#seen.values()) {
      if (seen.version !== version) continue
      if (isIn(seen.acceptedAt)) count.requests++
      if (isIn(seen.reclaimedAt)) count.reclaimed++
      if (isIn(seen.firstAt)) waits.push((seen.firstAt ?? 0) - seen.acceptedAt)
      const waitsStill = seen.firstAt === null && (seen.endedAt ?? toMs) >= toMs
      if (waitsStill && seen.acceptedAt < toMs) waits.push(toMs - seen.acceptedAt)
      if (!isIn(seen.endedAt) || seen.outcome === "left") continue
      count.ended++
      if (seen.outcome === "failed") count.failed++
      if (isBroken(seen)) count.broken++
    }
    waits.sort((a, b) => a - b)
    return {
      ...count,
      firstTokens: waits.length,
      ttftMsP50: quantile(waits, 0.5),
      ttftMsP95: quantile(waits, 0.95),
    }
  }

  #of(requestId: string): Seen {
    const known = this.#seen.get(requestId)
    if (known !== undefined) return known
    const seen: Seen = {
      version: null,
      acceptedAt: 0,
      firstAt: null,
      endedAt: null,
      outcome: null,
      reclaimedAt: null,
      tokens: 0,
      lastId: -1,
      repeated: 0,
    }
    this.#seen.set(requestId, seen)
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= requestsMax) break
      this.#seen.delete(oldest)
    }
    return seen
  }

  #onEntry(entry: TokenEntry, at: number): void {
    const seen = this.#of(entry.requestId)
    if (seen.endedAt !== null) return
    switch (entry.kind) {
      case "AttemptClaimed":
        if (entry.attempt > 1) seen.reclaimedAt ??= at
        return
      case "TokensGenerated":
        if (entry.ids.length > 0) seen.firstAt ??= at
        for (const id of entry.ids) {
          seen.repeated = id === seen.lastId ? seen.repeated + 1 : 0
          seen.lastId = id
        }
        seen.tokens += entry.ids.length
        return
      case "PromptScored":
        return
      case "GenerationFinished":
        return end(seen, "finished", at)
      case "Cancelled":
        return end(seen, "left", at)
      default:
        return end(seen, "failed", at)
    }
  }
}

const end = (seen: Seen, outcome: NonNullable<Seen["outcome"]>, at: number): void => {
  seen.outcome = outcome
  seen.endedAt = at
}
