// What a worker shows of itself to Prometheus, from what it holds and what its engine counts. The
// engine's counters only rise while it lives; what they rose by goes into ours.
import type { WorkerStatus } from "../../schemas/types.ts"
import type { GaugeName, Metrics } from "../telemetry/Metrics.ts"
import type { Core } from "./core.ts"
import type { DeviceGauges, Engine, EngineStats } from "./engine/Engine.ts"
import type { StepOutput } from "./engine/stepOutput.ts"

export interface GaugesOptions {
  readonly model: string
  readonly core: Core
  readonly engine: Engine["Service"]
  readonly metrics: Metrics["Service"]
  readonly now: () => number
  /** In the currency of the prices; 0: it is not known. */
  readonly costPerHour: number
}

export class Gauges {
  readonly #options: GaugesOptions
  readonly #labels: { readonly model: string }
  #seen = { preemptions: 0, prefixHitTokens: 0, promptTokens: 0 }

  constructor(options: GaugesOptions) {
    this.#options = options
    this.#labels = { model: options.model }
    // Counters that have not moved are there as zero, so that a rate of them is one from the start.
    for (const name of [
      "sluice_preemptions_total",
      "sluice_prefix_hit_tokens_total",
      "sluice_prompt_tokens_total",
      "sluice_generated_tokens_total",
      "sluice_adoptions_total",
      "sluice_dead_letters_total",
      "sluice_fenced_attempts_total",
    ] as const) {
      options.metrics.count(name, this.#labels, 0)
    }
    const { costPerHour } = options
    if (costPerHour > 0) options.metrics.gauge("sluice_cost_per_hour", this.#labels, costPerHour)
  }

  onStep(step: StepOutput): void {
    const { metrics, model } = this.#options
    metrics.step(model, step.batchSequences, step.batchTokens, step.durationUs / 1e6)
    let tokens = 0
    for (const entry of step.entries) tokens += entry.ids.length
    metrics.count("sluice_generated_tokens_total", this.#labels, tokens)
  }

  show(status: WorkerStatus): void {
    const { metrics, model, core, engine } = this.#options
    metrics.queueDepth(model, core.count("reading", "waiting"))
    metrics.tokensPerSecond(model, status.tokensPerSecond)
    metrics.gauge("sluice_worker_stalled_seconds", this.#labels, status.stalledMs / 1000)
    metrics.gauge("sluice_outstanding_tokens", this.#labels, status.tokensOutstanding)
    this.#ages()
    this.#engine(engine.stats())
    this.#devices(engine.devices())
  }

  #ages(): void {
    const { metrics, core, now } = this.#options
    let waiting = now()
    let open = waiting
    for (const { request, phase, origins } of core.table.values()) {
      open = Math.min(open, origins[0]?.timestamp ?? open)
      const waits = phase === "waiting" || phase === "reading"
      if (waits) waiting = Math.min(waiting, request.acceptedAt)
    }
    const ageOf = (since: number) => Math.max(0, now() - since) / 1000
    metrics.gauge("sluice_queue_age_seconds", this.#labels, ageOf(waiting))
    metrics.gauge("sluice_commit_age_seconds", this.#labels, ageOf(open))
  }

  #devices(devices: ReadonlyArray<DeviceGauges>): void {
    const { metrics } = this.#options
    for (const [index, device] of devices.entries()) {
      const set = (name: GaugeName, value: number | null) => {
        if (value !== null) metrics.gauge(name, { gpu_id: String(index) }, value)
      }
      set("llm_gpu_utilization_percent", device.utilisationPercent)
      set("llm_gpu_memory_used_bytes", device.memoryUsedBytes)
      set("sluice_gpu_memory_total_bytes", device.memoryTotalBytes)
      set("sluice_gpu_temperature_celsius", device.temperatureCelsius)
      set("sluice_gpu_power_watts", device.powerWatts)
    }
  }

  #engine(stats: EngineStats): void {
    const { metrics } = this.#options
    const labels = this.#labels
    metrics.gauge("sluice_sequences_running", labels, stats.running)
    metrics.gauge("sluice_sequences_waiting", labels, stats.waiting)
    metrics.gauge("sluice_kv_blocks", labels, stats.blocks)
    metrics.gauge("sluice_kv_blocks_free", labels, stats.blocksFree)
    const used = stats.blocks === 0 ? 0 : 1 - stats.blocksFree / stats.blocks
    metrics.gauge("sluice_kv_usage_ratio", labels, used)
    if (stats.masks > 0) {
      const name = "sluice_grammar_mask_seconds"
      metrics.gauge(name, { ...labels, quantile: "0.5" }, stats.maskUsP50 / 1e6)
      metrics.gauge(name, { ...labels, quantile: "0.99" }, stats.maskUsP99 / 1e6)
    }
    const { preemptions, prefixHitTokens, promptTokens } = stats
    const seen = this.#seen
    metrics.count("sluice_preemptions_total", labels, preemptions - seen.preemptions)
    metrics.count("sluice_prefix_hit_tokens_total", labels, prefixHitTokens - seen.prefixHitTokens)
    metrics.count("sluice_prompt_tokens_total", labels, promptTokens - seen.promptTokens)
    this.#seen = { preemptions, prefixHitTokens, promptTokens }
  }
}
