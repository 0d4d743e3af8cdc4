// What became of the newest requests, as times: accepted, claimed, first token, last token, ended.
// Told from the records themselves as they pass, by the same rule that counts tokens: an entry
// counts if its attempt and writer are the current claimant's. It holds no text, no prompt and no
// tenant.
import type { RequestAccepted, TokenEntry, TokenFrame } from "../../schemas/types.ts"
import { requestTime } from "../../streams/requestId.ts"

export type Phase =
  "queued" | "prefill" | "decode" | "finished" | "failed" | "cancelled" | "expired"

export interface Claim {
  /** ms since the epoch */
  readonly at: number
  readonly worker: string
}

export interface Timeline {
  readonly id: string
  /** ms since the epoch, as all times here */
  readonly acceptedAt: number
  /** null where another gateway accepted it */
  readonly tier: string | null
  readonly dialect: string | null
  readonly promptTokens: number | null
  readonly phase: Phase
  /** The newest `claimsMax`; more than one: it was adopted. */
  readonly claims: ReadonlyArray<Claim>
  readonly attempts: number
  readonly firstTokenAt: number | null
  readonly lastTokenAt: number | null
  readonly tokens: number
  readonly endedAt: number | null
}

interface Row {
  id: string
  acceptedAt: number
  tier: string | null
  dialect: string | null
  promptTokens: number | null
  phase: Phase
  claims: Array<Claim>
  attempts: number
  firstTokenAt: number | null
  lastTokenAt: number | null
  tokens: number
  endedAt: number | null
  /** Of its newest change of phase. */
  change: number
}

export interface Totals {
  accepted: number
  tokens: number
  ended: number
  failed: number
  adopted: number
}

/** Requests that are remembered; the oldest goes first. */
const timelinesMax = 10_000
const claimsMax = 8
/** First tokens whose delay is remembered, for the quantiles. */
const delaysMax = 512

const endOf: Partial<Record<TokenEntry["kind"], Phase>> = {
  GenerationFinished: "finished",
  GenerationFailed: "failed",
  Cancelled: "cancelled",
  Expired: "expired",
  DeadLettered: "failed",
}

export class Timelines {
  readonly #rows = new Map<string, Row>()
  readonly #delays: Array<{ readonly at: number; readonly ms: number }> = []
  #change = 0
  readonly totals: Totals = { accepted: 0, tokens: 0, ended: 0, failed: 0, adopted: 0 }
  /** How long the newest frame was under way, from its writer's clock to ours. */
  logLagMs = 0

  accepted(request: RequestAccepted): void {
    const row = this.#rowOf(request.requestId)
    row.acceptedAt = request.acceptedAt
    row.tier = request.tier
    row.dialect = request.dialect
    row.promptTokens = request.prompts.reduce((sum, prompt) => sum + prompt.length, 0)
    this.#changed(row)
  }

  frame({ writer, writtenAt, entries }: TokenFrame, nowMs: number): void {
    this.logLagMs = Math.max(0, nowMs - writtenAt)
    for (const entry of entries) this.#take(entry, writer, writtenAt)
  }

  /** The highest number of a change so far: where a viewer that has seen all goes on. */
  get change(): number {
    return this.#change
  }

  /** Those whose phase changed after `change`, the oldest request first. */
  changedAfter(change: number): ReadonlyArray<Timeline> {
    const changed: Array<Timeline> = []
    for (const row of this.#rows.values()) if (row.change > change) changed.push(row)
    return changed
  }

  /** Delays from acceptance to the first token, of first tokens since `sinceMs`, ascending. */
  firstTokenDelays(sinceMs: number): ReadonlyArray<number> {
    return this.#delays
      .filter(({ at }) => at >= sinceMs)
      .map(({ ms }) => ms)
      .toSorted((a, b) => a - b)
  }

  /** Requests that wait, by tier ("" where another gateway accepted them), and the oldest's age. */
  waiting(nowMs: number): { readonly byTier: Record<string, number>; readonly oldestMs: number } {
    const byTier: Record<string, number> = {}
    let oldestMs = 0
    for (const { phase, tier, acceptedAt } of this.#rows.values()) {
      if (phase !== "queued") continue
      byTier[tier ?? ""] = (byTier[tier ?? ""] ?? 0) + 1
      oldestMs = Math.max(oldestMs, nowMs - acceptedAt)
    }
    return { byTier, oldestMs }
  }

  #rowOf(id: string): Row {
    const known = this.#rows.get(id)
    if (known !== undefined) return known
    const row: Row = {
      id,
      acceptedAt: requestTime(id),
      tier: null,
      dialect: null,
      promptTokens: null,
      phase: "queued",
      claims: [],
      attempts: 0,
      firstTokenAt: null,
      lastTokenAt: null,
      tokens: 0,
      endedAt: null,
      change: 0,
    }
    this.totals.accepted += 1
    this.#rows.set(id, row)
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size <= timelinesMax) break
      this.#rows.delete(oldest)
    }
    return row
  }

  #changed(row: Row): void {
    row.change = ++this.#change
  }

  #take(entry: TokenEntry, writer: string, at: number): void {
    if (entry.kind === "AttemptClaimed") return this.#claim(entry, at)
    const row = this.#rows.get(entry.requestId)
    // What began before this process did is not told: half of it is not known.
    if (row === undefined || row.endedAt !== null) return
    const isClaimants =
      "attempt" in entry && entry.attempt === row.attempts && row.claims.at(-1)?.worker === writer
    if (entry.kind === "TokensGenerated") {
      if (isClaimants) this.#tokens(row, entry.ids.length, at)
      return
    }
    const end = endOf[entry.kind]
    if (end !== undefined && (isClaimants || !("attempt" in entry))) this.#end(row, end, at)
  }

  #claim(
    { requestId, attempt, worker }: TokenEntry & { kind: "AttemptClaimed" },
    at: number,
  ): void {
    if (attempt !== 1 && !this.#rows.has(requestId)) return
    const row = this.#rowOf(requestId)
    if (attempt !== row.attempts + 1 || row.endedAt !== null) return
    row.attempts = attempt
    row.claims = [...row.claims.slice(1 - claimsMax), { at, worker }]
    if (row.phase === "queued") row.phase = "prefill"
    if (attempt > 1) this.totals.adopted += 1
    this.#changed(row)
  }

  #tokens(row: Row, count: number, at: number): void {
    row.tokens += count
    row.lastTokenAt = at
    this.totals.tokens += count
    if (row.firstTokenAt !== null) return
    row.firstTokenAt = at
    row.phase = "decode"
    this.#delays.push({ at, ms: Math.max(0, at - row.acceptedAt) })
    if (this.#delays.length > 2 * delaysMax) this.#delays.splice(0, delaysMax)
    this.#changed(row)
  }

  #end(row: Row, phase: Phase, at: number): void {
    row.phase = phase
    row.endedAt = at
    this.totals.ended += 1
    if (phase === "failed") this.totals.failed += 1
    this.#changed(row)
  }
}
