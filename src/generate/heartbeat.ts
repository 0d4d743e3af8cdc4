// The worker's pulse: its status to the workers' log each second and at every change of state, and
// the gauges that come from the same numbers. A heartbeat that cannot be written is the log's
// trouble; the next one says the same and more.
import { Effect } from "effect"
import type { WorkerState, WorkerStatus } from "../../schemas/types.ts"
import type { GaugeName, Metrics } from "../telemetry/Metrics.ts"
import type { DeviceGauges, EngineStats } from "./engine/Engine.ts"
import type { StepOutput } from "./engine/stepOutput.ts"
import { Meter, statusOf, type StatusParts } from "./status.ts"
import type { WorkerLog } from "../../streams/WorkerLog.ts"

const lastWordMs = 1_000

export interface HeartbeatOptions extends StatusParts {
  readonly log: WorkerLog["Service"]
  readonly metrics: Metrics["Service"]
  readonly now: () => number
}

export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #meter = new Meter()
  #state: WorkerState = "starting"
  #seen = { preemptions: 0, prefixHitTokens: 0, promptTokens: 0 }

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  onStep(step: StepOutput): void {
    const { metrics, model } = this.#options
    this.#meter.onStep(step)
    metrics.step(model, step.batchSequences, step.batchTokens, step.durationUs / 1e6)
  }

  become(state: WorkerState): void {
    this.#state = state
    this.beat()
  }

  /** The last word, durable where the log still takes it. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.#state = "stopped"
    return this.#options.log.append(this.#status(0))
  }).pipe(Effect.timeout(lastWordMs), Effect.ignore)

  beat(): void {
    const { now, log, metrics, model, core, engine } = this.#options
    const tokensPerSecond = this.#meter.rate(now())
    log.appendThen(this.#status(tokensPerSecond), () => {})
    metrics.queueDepth(model, core.count("reading", "waiting"))
    metrics.tokensPerSecond(model, tokensPerSecond)
    this.#gauges(engine.stats())
    this.#deviceGauges(engine.devices())
  }

  #status(tokensPerSecond: number): WorkerStatus {
    const moment = { nowMs: this.#options.now(), state: this.#state, tokensPerSecond }
    return statusOf(this.#options, moment)
  }

  #deviceGauges(devices: ReadonlyArray<DeviceGauges>): void {
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

  #gauges(stats: EngineStats): void {
    const { metrics, model } = this.#options
    const labels = { model }
    metrics.gauge("sluice_sequences_running", labels, stats.running)
    metrics.gauge("sluice_sequences_waiting", labels, stats.waiting)
    metrics.gauge("sluice_kv_blocks", labels, stats.blocks)
    metrics.gauge("sluice_kv_blocks_free", labels, stats.blocksFree)
    const { preemptions, prefixHitTokens, promptTokens } = stats
    const seen = this.#seen
    metrics.count("sluice_preemptions_total", labels, preemptions - seen.preemptions)
    metrics.count("sluice_prefix_hit_tokens_total", labels, prefixHitTokens - seen.prefixHitTokens)
    metrics.count("sluice_prompt_tokens_total", labels, promptTokens - seen.promptTokens)
    this.#seen = { preemptions, prefixHitTokens, promptTokens }
  }
}
