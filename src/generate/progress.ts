// What is measured of each request on its way through the worker: how long it waited, took to its
// first token and then to its end, and what became of attempts. Told by the lifecycle's events,
// reckoned from the marks that it leaves on a request, so that no token costs anything.
import type { Metrics } from "../telemetry/Metrics.ts"
import type { TracesShape } from "../telemetry/Traces.ts"
import type { InFlight } from "./inFlight.ts"

/** Calls from the worker's core; all synchronous and cheap. */
export interface Progress {
  /** It goes on where another attempt had been. */
  readonly adopted: (item: InFlight) => void
  /** Another worker's claim beat this one's. */
  readonly fenced: (item: InFlight) => void
  /** Its terminal entry counts. */
  readonly ended: (item: InFlight) => void
  /** It is given up. */
  readonly dead: (item: InFlight) => void
}

export const silentProgress: Progress = {
  adopted: () => {},
  fenced: () => {},
  ended: () => {},
  dead: () => {},
}

export interface ProgressOptions {
  readonly traces: TracesShape
  readonly workerId: string
  readonly metrics: Metrics["Service"]
  readonly model: string
  readonly now: () => number
}

const seconds = (fromMs: number, toMs: number) => Math.max(0, toMs - fromMs) / 1000

/** One span for the attempt, and below it where its time went. */
const trace = ({ traces, workerId, model, now }: ProgressOptions, item: InFlight): void => {
  const { request, runAt, firstTokenAt, claim } = item
  const parent = request.traceparent
  if (parent === null) return
  const attempt = claim?.attempt ?? 1
  const startMs = attempt > 1 && item.lastSignAt > 0 ? item.lastSignAt : request.acceptedAt
  const attributes = {
    "gen_ai.request.model": model,
    "sluice.request.id": request.requestId,
    "sluice.attempt": attempt,
    "sluice.worker": workerId,
    "sluice.adopted": attempt > 1,
  }
  const endMs = now()
  const below = traces.record({ name: "attempt", parent, startMs, endMs, attributes })
  if (below === null) return
  const part = (name: string, fromMs: number, toMs: number) =>
    traces.record({ name, parent: below, startMs: fromMs, endMs: toMs, attributes: {} })
  part("queue", startMs, runAt)
  if (firstTokenAt === 0) return
  part("prefill", runAt, firstTokenAt)
  part("decode", firstTokenAt, endMs)
}

export const makeProgress = (options: ProgressOptions): Progress => {
  const { metrics, model, now } = options
  const labels = { model }
  return {
    adopted: (item) => {
      metrics.count("sluice_adoptions_total", labels, 1)
      if (item.lastSignAt === 0) return
      metrics.observe("sluice_recovery_seconds", labels, seconds(item.lastSignAt, now()))
    },
    fenced: () => metrics.count("sluice_fenced_attempts_total", labels, 1),
    ended: (item) => {
      const { request, runAt, firstTokenAt } = item
      if (runAt === 0) return
      trace(options, item)
      metrics.observe("sluice_queue_seconds", labels, seconds(request.acceptedAt, runAt))
      if (firstTokenAt === 0) return
      metrics.observe("sluice_prefill_seconds", labels, seconds(runAt, firstTokenAt))
      metrics.observe("sluice_decode_seconds", labels, seconds(firstTokenAt, now()))
    },
    dead: () => metrics.count("sluice_dead_letters_total", labels, 1),
  }
}
