// What is measured of each request on its way through the worker: how long it waited, took to its
// first token and then to its end, and what became of attempts. Told by the lifecycle's events,
// reckoned from the marks that it leaves on a request, so that no token costs anything.
import type { Metrics } from "../telemetry/Metrics.ts"
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
  readonly metrics: Metrics["Service"]
  readonly model: string
  readonly now: () => number
}

const seconds = (fromMs: number, toMs: number) => Math.max(0, toMs - fromMs) / 1000

export const makeProgress = ({ metrics, model, now }: ProgressOptions): Progress => {
  const labels = { model }
  return {
    adopted: (item) => {
      metrics.count("sluice_adoptions_total", labels, 1)
      if (item.lastSignAt === 0) return
      metrics.observe("sluice_recovery_seconds", labels, seconds(item.lastSignAt, now()))
    },
    fenced: () => metrics.count("sluice_fenced_attempts_total", labels, 1),
    ended: ({ request, runAt, firstTokenAt }) => {
      if (runAt === 0) return
      metrics.observe("sluice_queue_seconds", labels, seconds(request.acceptedAt, runAt))
      if (firstTokenAt === 0) return
      metrics.observe("sluice_prefill_seconds", labels, seconds(runAt, firstTokenAt))
      metrics.observe("sluice_decode_seconds", labels, seconds(firstTokenAt, now()))
    },
    dead: () => metrics.count("sluice_dead_letters_total", labels, 1),
  }
}
