// What the console shows of this process, kept as the records pass, and its page's files. It reads
// nothing from the log itself: whoever tails it tells the console too.
import { Clock, Context, Effect, Layer } from "effect"
import type { RequestAccepted, TokenFrame } from "../../schemas/types.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"
import { Metrics, type MetricsSnapshot } from "../telemetry/Metrics.ts"
import { type Gauges, LiveView } from "./live.ts"
import { type PageFile, readPage } from "./pageFiles.ts"
import { Timelines } from "./timelines.ts"

/** Metrics that the page shows, summed over their labels; a histogram by its mean. */
const shown: ReadonlyArray<string> = [
  "llm_queue_depth",
  "sluice_sequences_running",
  "sluice_kv_blocks",
  "sluice_kv_blocks_free",
  "sluice_subscribers",
  "sluice_outstanding_tokens",
  "sluice_prefix_hit_tokens_total",
  "sluice_prompt_tokens_total",
  "sluice_preemptions_total",
  "sluice_dead_letters_total",
  "llm_batch_size_sum",
  "llm_batch_size_count",
  "llm_inter_token_seconds_sum",
  "llm_inter_token_seconds_count",
]

const gaugesOf = (snapshot: MetricsSnapshot): Gauges => {
  const sums: Record<string, number> = {}
  for (const { name, values } of snapshot) {
    for (const { value, ...rest } of values) {
      const called = "metricName" in rest ? String(rest.metricName) : name
      if (shown.includes(called)) sums[called] = (sums[called] ?? 0) + value
    }
  }
  return sums
}

export class Console extends Context.Service<
  Console,
  {
    /** A request that this gateway accepted. */
    readonly accepted: (request: RequestAccepted) => void
    /** Frames of the token log, in the log's order. */
    readonly frames: (frames: ReadonlyArray<ReadRecord<TokenFrame>>) => void
    /** For one viewer: its own, since what it has been told is its own. */
    readonly view: () => LiveView
    readonly gauges: Effect.Effect<Gauges>
    /** By its path below /console/; null: there is no such file, or the page was not built. */
    readonly file: (path: string) => PageFile | null
  }
>()("sluice/console/Console") {
  static readonly layer = Layer.effect(
    Console,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = () => clock.currentTimeMillisUnsafe()
      const metrics = yield* Metrics
      const timelines = new Timelines()
      let files: ReturnType<typeof readPage> | null = null
      return Console.of({
        accepted: (request) => timelines.accepted(request),
        frames: (frames) => {
          const at = now()
          for (const { value } of frames) if (value !== null) timelines.frame(value, at)
        },
        view: () => new LiveView(timelines, now()),
        gauges: Effect.map(
          Effect.promise(() => metrics.snapshot()),
          gaugesOf,
        ),
        file: (path) => (files ??= readPage()).get(path) ?? null,
      })
    }),
  )
}
