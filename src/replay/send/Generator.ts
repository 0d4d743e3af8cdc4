// Sends a plan's requests when they are due and measures what comes back. In the open loop nothing
// that answers do moves a send; only a bound that was asked for does, and then the wait is measured
// from when the request was due and counted as late. Plain synchronous code: no fiber stands
// between a due time and its send.
import type { Failure, Tally } from "../measure/Tally.ts"
import type { Plan, Planned } from "../plan/Plan.ts"
import { TraceError } from "../trace/Trace.ts"
import type { Piece } from "./Answer.ts"
import type { Target, TargetEnd } from "./Target.ts"

/** Who compares answers with what was recorded. */
export interface Inspector {
  readonly ended: (planned: Planned, pieces: ReadonlyArray<Piece>, failure: Failure | null) => void
}

export interface GeneratorOptions {
  /** In flight at once; null: as many as come due, up to the generator's own bound. */
  readonly concurrency: number | null
  /** Requests due before it are sent, and not counted. */
  readonly warmUpMs: number
  /** Of a whole answer, from its send. */
  readonly timeoutMs: number
}

export interface GeneratorParts {
  readonly plan: Plan
  readonly target: Target
  readonly tally: Tally
  readonly inspector: Inspector | null
  /** ms on any clock that never goes back. */
  readonly now: () => number
  readonly onDone: (error: TraceError | null) => void
}

/** Beyond it a request that is due is not sent, and counted as that. */
const inFlightBound = 16_384

/** Bodies that are written before they are due, so that writing one delays no other's send. */
const aheadMax = 64

/** Sends without a look at the sockets in between. */
const burstMax = 256

const sweepMs = 250

/** Less time to the next send than this is too little to write a body in. */
const slackMs = 0.5

interface InFlight {
  readonly planned: Planned
  readonly counts: boolean
  readonly dueMs: number
  readonly sentMs: number
  readonly pieces: Array<Piece> | null
  firstMs: number
  lastMs: number
  gapMs: number
  giveUp: (why: Failure) => void
}

export class Generator {
  sent = 0
  ended = 0
  private readonly options: GeneratorOptions
  private readonly parts: GeneratorParts
  private readonly inFlight = new Set<InFlight>()
  private readonly ahead: Array<Planned> = []
  private startedAt = 0
  private exhausted = false
  private stopped = false
  private isOver = false
  private error: TraceError | null = null
  private timer: NodeJS.Timeout | null = null
  private soon: NodeJS.Immediate | null = null
  private sweeper: NodeJS.Timeout | null = null
  lastEndMs = 0

  constructor(options: GeneratorOptions, parts: GeneratorParts) {
    this.options = options
    this.parts = parts
  }

  get inFlightCount(): number {
    return this.inFlight.size
  }

  /** `startedAt`: on the parts' clock, when the plan's time 0 is. */
  start(startedAt: number): void {
    this.startedAt = startedAt
    this.fill(aheadMax)
    this.sweeper = setInterval(() => this.sweep(), sweepMs)
    this.turn()
  }

  /** Sends nothing more and gives up what is in flight. */
  stop(): void {
    this.stopped = true
    for (const one of [...this.inFlight]) one.giveUp("unfinished")
    this.turn()
  }

  private now(): number {
    return this.parts.now() - this.startedAt
  }

  private fill(most: number): void {
    for (let i = 0; i < most && this.ahead.length < aheadMax && !this.exhausted; i++) {
      const planned = this.parts.plan.next()
      if (planned instanceof TraceError) this.error = planned
      if (planned === null || planned instanceof TraceError) this.exhausted = true
      else this.ahead.push(planned)
    }
  }

  private turn(): void {
    if (this.isOver) return
    for (let burst = 0; burst < burstMax; burst++) {
      if (this.stopped) break
      if (this.ahead.length === 0) this.fill(1)
      const planned = this.ahead[0]
      const now = this.now()
      if (planned === undefined || (planned.dueMs ?? 0) > now) break
      if (!this.hasRoom(planned, now)) break
      this.ahead.shift()
      this.send(planned, now)
    }
    if ((this.stopped || (this.exhausted && this.ahead.length === 0)) && this.inFlight.size === 0) {
      return this.finish()
    }
    this.arm()
  }

  /** Where there is none, what waits is sent when an answer ends, unless it cannot wait at all. */
  private hasRoom(planned: Planned, now: number): boolean {
    const { concurrency } = this.options
    if (this.inFlight.size < Math.min(concurrency ?? inFlightBound, inFlightBound)) return true
    if (concurrency !== null || planned.dueMs === null) return false
    this.ahead.shift()
    const dueMs = planned.dueMs - this.options.warmUpMs
    if (dueMs < 0) return true
    this.parts.tally.sent(dueMs, now - planned.dueMs, this.inFlight.size)
    this.parts.tally.ended({ ...neverSent, dueMs, endMs: dueMs })
    return false
  }

  private arm(): void {
    const planned = this.ahead[0]
    const waits = planned === undefined ? Infinity : (planned.dueMs ?? 0) - this.now()
    if (waits > slackMs) this.fill(1)
    if (this.stopped || planned === undefined) return
    const { concurrency } = this.options
    const full = this.inFlight.size >= Math.min(concurrency ?? inFlightBound, inFlightBound)
    if (full && (concurrency !== null || planned.dueMs === null)) return
    if (waits <= 0) this.again()
    else this.timer ??= setTimeout(() => this.onTimer(), waits)
  }

  private onTimer(): void {
    this.timer = null
    this.turn()
  }

  private again(): void {
    this.soon ??= setImmediate(() => {
      this.soon = null
      this.turn()
    })
  }

  private send(planned: Planned, now: number): void {
    const { tally, target, inspector } = this.parts
    const dueMs = planned.dueMs ?? now
    const { warmUpMs } = this.options
    const counts = dueMs >= warmUpMs
    const one: InFlight = {
      planned,
      counts,
      dueMs,
      sentMs: now,
      pieces: inspector === null ? null : [],
      firstMs: -1,
      lastMs: -1,
      gapMs: 0,
      giveUp: () => {},
    }
    this.sent++
    this.inFlight.add(one)
    if (counts) {
      tally.sent(dueMs - warmUpMs, now - dueMs, this.inFlight.size)
      tally.promptTokensAsked += planned.promptTokens
      tally.outputTokensAsked += planned.outputTokens
      if (planned.clipped) tally.clipped++
    } else tally.warmUp++
    one.giveUp = target.send(planned, {
      onContent: () => this.content(one),
      onPiece: one.pieces === null ? null : (piece) => one.pieces?.push(piece),
      onEnd: (end) => this.end(one, end),
    })
  }

  private content(one: InFlight): void {
    const now = this.now()
    if (one.firstMs < 0) one.firstMs = now
    else {
      const gapMs = now - one.lastMs
      one.gapMs = Math.max(one.gapMs, gapMs)
      if (one.counts) this.parts.tally.gap(now - this.options.warmUpMs, gapMs)
    }
    one.lastMs = now
  }

  private end(one: InFlight, end: TargetEnd): void {
    const now = this.now()
    if (!this.inFlight.delete(one)) return
    this.ended++
    const { tally, inspector } = this.parts
    const { warmUpMs } = this.options
    this.lastEndMs = Math.max(this.lastEndMs, now - warmUpMs)
    if (one.counts) {
      if (end.failure === null) tally.tokens(now - warmUpMs, end.outputTokens)
      tally.ended({
        ...end,
        dueMs: one.dueMs - warmUpMs,
        endMs: now - warmUpMs,
        // Of an answer without content, its end is all that there was to wait for.
        ttftMs: (one.firstMs < 0 ? now : one.firstMs) - one.dueMs,
        e2eMs: now - one.dueMs,
        gapMs: one.gapMs,
      })
    }
    if (one.pieces !== null) inspector?.ended(one.planned, one.pieces, end.failure)
    this.again()
  }

  private sweep(): void {
    const oldest = this.now() - this.options.timeoutMs
    for (const one of [...this.inFlight]) if (one.sentMs < oldest) one.giveUp("timeout")
  }

  private finish(): void {
    this.isOver = true
    if (this.timer !== null) clearTimeout(this.timer)
    if (this.sweeper !== null) clearInterval(this.sweeper)
    this.parts.plan.close()
    this.parts.target.close()
    this.parts.onDone(this.error)
  }
}

const neverSent = {
  failure: "unsent",
  detail: `more than ${inFlightBound} requests were in flight`,
  retryAfter: false,
  ttftMs: 0,
  e2eMs: 0,
  gapMs: 0,
  promptTokens: 0,
  outputTokens: 0,
} as const
