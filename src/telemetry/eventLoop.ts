// How the process is: how long its event loop makes others wait, from Node's own histogram (the
// first number to look at when tokens stutter), what memory it holds and how many files are open.
import { readdirSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, Layer, Schedule } from "effect"
import { Metrics } from "./Metrics.ts"

const everyMs = 5000
/** Each look wakes the process: ten a second cost nothing, a hundred cost half a per cent. */
const resolutionMs = 100
const nanosecondsPerSecond = 1e9

/** Only Linux says it. */
const openFiles = (): number | null =>
  process.platform === "linux" ? readdirSync("/proc/self/fd").length : null

export const layerEventLoop: Layer.Layer<never, never, Metrics> = Layer.effectDiscard(
  Effect.gen(function* () {
    const metrics = yield* Metrics
    const delay = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const histogram = monitorEventLoopDelay({ resolution: resolutionMs })
        histogram.enable()
        return histogram
      }),
      (histogram) => Effect.sync(() => histogram.disable()),
    )
    const record = Effect.sync(() => {
      for (const quantile of [0.5, 0.99, 1]) {
        // The histogram measures whole timer periods: the delay is what exceeds the resolution.
        const seconds = delay.percentile(quantile * 100) / nanosecondsPerSecond
        const late = Math.max(0, seconds - resolutionMs / 1000)
        metrics.gauge("sluice_event_loop_delay_seconds", { quantile: String(quantile) }, late)
      }
      delay.reset()
      metrics.gauge("sluice_resident_memory_bytes", {}, process.memoryUsage.rss())
      const files = openFiles()
      if (files !== null) metrics.gauge("sluice_open_files", {}, files)
    })
    yield* record.pipe(Effect.repeat(Schedule.spaced(everyMs)), Effect.forkScoped)
  }),
)
