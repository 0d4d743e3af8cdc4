// Metrics by the public names with their labels, absent until real, bounded in label sets; log
// lines as one JSON object each, without what clients wrote.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { logLine } from "../../src/telemetry/logger.ts"
import { Metrics } from "../../src/telemetry/Metrics.ts"
import { metricSpecs } from "../../src/telemetry/names.ts"
import { layerMetrics } from "../../src/telemetry/registry.ts"

const exposition = (record: (metrics: Metrics["Service"]) => void) =>
  Effect.gen(function* () {
    const metrics = yield* Metrics
    record(metrics)
    return yield* Effect.promise(() => metrics.exposition())
  }).pipe(Effect.provide(layerMetrics))

const ended = {
  model: "m",
  tenant: "acme",
  status: "ok",
  reason: "stop",
  durationSeconds: 2,
  promptTokens: 3,
  completionTokens: 4,
} as const

describe("metrics", () => {
  it.effect("carry the names and labels that boards are built on", () =>
    Effect.gen(function* () {
      const text = yield* exposition((metrics) => {
        metrics.requestEnded(ended)
        metrics.firstToken("m", 0.02)
        metrics.step("m", 5, 9, 0.01)
        metrics.queueDepth("m", 7)
        metrics.tokensPerSecond("m", 42)
        metrics.gauge("llm_gpu_memory_used_bytes", { gpu_id: "0" }, 1)
      })
      for (const line of [
        'llm_requests_total{model="m",status="ok"} 1',
        'llm_request_duration_seconds_sum{model="m"} 2',
        'llm_request_tokens_sum{model="m",type="prompt"} 3',
        'llm_request_tokens_sum{model="m",type="completion"} 4',
        'llm_ttft_seconds_count{model="m"} 1',
        'llm_batch_size_sum{model="m"} 5',
        'llm_queue_depth{model="m"} 7',
        'llm_throughput_tokens_per_sec{model="m"} 42',
        'llm_gpu_memory_used_bytes{gpu_id="0"} 1',
      ]) {
        assert.include(text.split("\n"), line)
      }
    }),
  )

  it.effect("of several threads are one exposition: sums, and the longest delay", () =>
    Effect.gen(function* () {
      const other = yield* Effect.gen(function* () {
        const metrics = yield* Metrics
        metrics.step("m", 5, 9, 0.01)
        metrics.requestEnded(ended)
        metrics.gauge("sluice_event_loop_delay_seconds", { quantile: "1" }, 0.5)
        return yield* Effect.promise(() => metrics.snapshot())
      }).pipe(Effect.provide(layerMetrics))
      const text = yield* exposition((metrics) => {
        metrics.requestEnded(ended)
        metrics.gauge("sluice_event_loop_delay_seconds", { quantile: "1" }, 0.25)
        metrics.include(() => Promise.resolve(other))
      })
      for (const line of [
        'llm_requests_total{model="m",status="ok"} 2',
        'llm_batch_size_sum{model="m"} 5',
        'llm_request_tokens_count{model="m",type="prompt"} 2',
        'sluice_event_loop_delay_seconds{quantile="1"} 0.5',
      ]) {
        assert.include(text.split("\n"), line)
      }
    }),
  )

  it.effect("of a GPU are absent, not zero, where nobody recorded one", () =>
    Effect.map(
      exposition((metrics) => metrics.requestEnded(ended)),
      (text) => assert.notMatch(text, /^llm_gpu_\w+\{/m),
    ),
  )

  it.effect("hold a bounded number of label sets, whatever models clients name", () =>
    Effect.gen(function* () {
      const text = yield* exposition((metrics) => {
        for (let index = 0; index < 2000; index++) metrics.refused(`made-up-${index}`, "x")
        metrics.refused("y".repeat(100_000), "x")
      })
      assert.isBelow(text.length, 100_000)
      const total = [...text.matchAll(/^sluice_refusals_total\{.*\} (\d+)$/gm)]
      assert.strictEqual(
        total.reduce((sum, [, count]) => sum + Number(count), 0),
        2001,
      )
      assert.include(text, 'sluice_refusals_total{model="other",code="other"}')
    }),
  )

  it("are declared with help, and histograms with buckets that rise", () => {
    for (const [name, spec] of Object.entries(metricSpecs)) {
      assert.match(spec.help, /\.$/, name)
      const buckets: ReadonlyArray<number> = "buckets" in spec ? spec.buckets : []
      assert.strictEqual(buckets.length > 0, spec.kind === "histogram", name)
      assert.deepStrictEqual(
        [...buckets].toSorted((a, b) => a - b),
        [...buckets],
        name,
      )
    }
  })
})

describe("a log line", () => {
  const line = (program: Effect.Effect<void>) => {
    const lines: Array<string> = []
    const logger = Logger.make((options) => void lines.push(logLine(options)))
    return Effect.map(program.pipe(Effect.provide(Layer.fresh(Logger.layer([logger])))), () => {
      const parsed: unknown = JSON.parse(lines[0] ?? "")
      return { parsed, text: lines.join("\n") }
    })
  }

  it.effect("is one JSON object with time, level, message and annotations", () =>
    Effect.gen(function* () {
      const { parsed, text } = yield* line(
        Effect.logWarning("two\nlines").pipe(
          Effect.annotateLogs({ requestId: "r", durationMs: 3, big: 2n ** 70n }),
        ),
      )
      assert.notInclude(text, "\n")
      assert.deepInclude(parsed, { level: "warn", message: "two\nlines", requestId: "r" })
      assert.deepInclude(parsed, { durationMs: 3, big: String(2n ** 70n) })
    }),
  )

  it.effect("shows no prompt, text or key, and cuts what is long", () =>
    Effect.gen(function* () {
      const { text } = yield* line(
        Effect.logInfo("x".repeat(100_000)).pipe(
          Effect.annotateLogs({ prompt: "a secret", apiKey: "a secret", text: ["a secret"] }),
        ),
      )
      assert.notInclude(text, "a secret")
      assert.isBelow(text.length, 5000)
    }),
  )

  it.effect("carries the cause of a failure", () =>
    Effect.gen(function* () {
      const { text } = yield* line(
        Effect.die(new Error("broken")).pipe(
          Effect.catchCause((cause) => Effect.logError("it failed", cause)),
        ),
      )
      assert.include(text, "broken")
      assert.include(text, '"level":"error"')
    }),
  )
})
