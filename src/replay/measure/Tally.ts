// What one run of load adds up to: its time line, and what went wrong by kind. Pure: it is told
// times and never asks for one. Latencies count from when a request was due, not from when it was
// sent, so that neither a slow server nor a slow generator can hide a wait.
import { meets, type Objectives } from "./objectives.ts"
import { Timeline, type TimelineData } from "./Timeline.ts"

/** How a request ended; everything but "answered" is a failure and is counted by this name. */
const failures = [
  "refused",
  "unreachable",
  "reset",
  "closedEarly",
  "stalled",
  "timeout",
  "rejected",
  "tooManyRequests",
  "unavailable",
  "serverError",
  "redirected",
  "wrongContentType",
  "malformed",
  "errorEvent",
  "oversized",
  "unsent",
  "unfinished",
] as const
export type Failure = (typeof failures)[number]

export interface Ended {
  readonly dueMs: number
  readonly endMs: number
  readonly failure: Failure | null
  /** The server's words or the system's code; shown once for each kind. */
  readonly detail: string
  readonly retryAfter: boolean
  readonly ttftMs: number
  readonly e2eMs: number
  readonly gapMs: number
  readonly promptTokens: number
  readonly outputTokens: number
}

export interface FailureCount {
  readonly count: number
  readonly example: string
}

export interface TallyData {
  readonly timeline: TimelineData
  readonly failures: Readonly<Record<string, FailureCount>>
  readonly withRetryAfter: number
  readonly clipped: number
  readonly warmUp: number
  readonly promptTokensAsked: number
  readonly outputTokensAsked: number
}

const exampleMax = 200

export class Tally {
  readonly timeline: Timeline
  readonly failures = new Map<string, { count: number; example: string }>()
  withRetryAfter = 0
  /** Of the lengths that a trace has and the model or the answer's bound has not. */
  clipped = 0
  warmUp = 0
  promptTokensAsked = 0
  outputTokensAsked = 0
  /** As they are counted; the time line has them by their times. */
  late = 0
  private readonly objectives: Objectives
  private readonly lateMs: number

  constructor(objectives: Objectives, lateMs: number, timeline = new Timeline()) {
    this.objectives = objectives
    this.lateMs = lateMs
    this.timeline = timeline
  }

  sent(dueMs: number, delayMs: number, inFlight: number): void {
    const bin = this.timeline.at(dueMs)
    bin.count.due++
    bin.latency.sendDelay.record(delayMs)
    if (delayMs > this.lateMs) {
      bin.count.late++
      this.late++
    }
    bin.inFlightMax = Math.max(bin.inFlightMax, inFlight)
  }

  /** A wait between two pieces of an answer, the second of which came now. */
  gap(nowMs: number, gapMs: number): void {
    this.timeline.at(nowMs).latency.itl.record(gapMs)
  }

  tokens(nowMs: number, count: number): void {
    this.timeline.at(nowMs).count.outputTokens += count
  }

  ended(ended: Ended): void {
    const bin = this.timeline.at(ended.dueMs)
    if (ended.retryAfter) this.withRetryAfter++
    if (ended.failure !== null) {
      bin.count.failed++
      this.failed(ended.failure, 1, ended.detail)
      return
    }
    bin.count.answered++
    bin.count.promptTokens += ended.promptTokens
    bin.latency.ttft.record(ended.ttftMs)
    bin.latency.e2e.record(ended.e2eMs)
    const later = ended.outputTokens - 1
    const itlMs = later > 0 ? (ended.e2eMs - ended.ttftMs) / later : null
    if (itlMs !== null) bin.latency.tpot.record(itlMs)
    const gapMs = later > 0 ? ended.gapMs : null
    if (meets(this.objectives, { ...ended, itlMs, gapMs })) bin.count.good++
  }

  add(data: TallyData): this {
    this.timeline.add(Timeline.fromData(data.timeline))
    for (const [kind, { count, example }] of Object.entries(data.failures)) {
      this.failed(kind, count, example)
    }
    this.withRetryAfter += data.withRetryAfter
    this.clipped += data.clipped
    this.warmUp += data.warmUp
    this.promptTokensAsked += data.promptTokensAsked
    this.outputTokensAsked += data.outputTokensAsked
    return this
  }

  toData(): TallyData {
    return {
      timeline: this.timeline.toData(),
      failures: Object.fromEntries(this.failures),
      withRetryAfter: this.withRetryAfter,
      clipped: this.clipped,
      warmUp: this.warmUp,
      promptTokensAsked: this.promptTokensAsked,
      outputTokensAsked: this.outputTokensAsked,
    }
  }

  private failed(kind: string, count: number, example: string): void {
    const known = this.failures.get(kind)
    if (known === undefined) {
      this.failures.set(kind, { count, example: example.slice(0, exampleMax) })
    } else known.count += count
  }
}
