// What a worker says of itself: its heartbeat in the workers' log, and the gauges that come from
// the same numbers. The rate is measured over the last few heartbeats, so that an idle second does
// not make an overloaded worker look fast or a busy one dead.
import type { WorkerState, WorkerStatus } from "../../schemas/types.ts"
import type { Core } from "./core.ts"
import type { Engine } from "./engine/Engine.ts"
import type { StepOutput } from "./engine/stepOutput.ts"
import type { InFlight } from "./inFlight.ts"

/** Heartbeats over which the rate is measured. */
const rateSamples = 5

/** Counts the tokens that the engine makes; the hot path adds, the heartbeat reads. */
export class Meter {
  #tokens = 0
  readonly #samples: Array<{ readonly at: number; readonly tokens: number }> = []

  onStep(step: StepOutput): void {
    for (const entry of step.entries) this.#tokens += entry.ids.length
  }

  /** Tokens a second since the oldest sample that is kept. */
  rate(nowMs: number): number {
    this.#samples.push({ at: nowMs, tokens: this.#tokens })
    if (this.#samples.length > rateSamples + 1) this.#samples.shift()
    const oldest = this.#samples[0]!
    const ms = nowMs - oldest.at
    return ms <= 0 ? 0 : ((this.#tokens - oldest.tokens) * 1000) / ms
  }
}

export interface StatusParts {
  readonly workerId: string
  readonly model: string
  readonly version: string
  readonly core: Core
  readonly engine: Engine["Service"]
}

/**
 * Prompt and output tokens that it promised and has not computed; prompts of running ones count as
 * done.
 */
const tokensOutstanding = (items: Iterable<InFlight>): number => {
  let tokens = 0
  for (const item of items) {
    const { maxTokens } = item.request.sampling
    if (item.generation === null) tokens += item.promptTokens + item.sequences * maxTokens
    else {
      for (const choice of item.generation.choices) {
        if (!choice.finished) tokens += Math.max(0, maxTokens - choice.position)
      }
    }
  }
  return tokens
}

export interface Moment {
  readonly nowMs: number
  readonly state: WorkerState
  readonly tokensPerSecond: number
}

export const statusOf = (parts: StatusParts, moment: Moment): WorkerStatus => {
  const { core, engine, workerId, model, version } = parts
  const stats = engine.stats()
  const { sequencesMax, device } = engine.info
  const hasWork = stats.running + stats.waiting > 0
  const running = core.count("running")
  return {
    workerId,
    at: moment.nowMs,
    model,
    version,
    state: moment.state,
    partitions: core.assignment.partitions.map(({ topic, partition }) => `${topic}/${partition}`),
    slotsFree: Math.max(0, sequencesMax - core.slots.used),
    slots: sequencesMax,
    blocksFree: stats.blocksFree,
    blocks: stats.blocks,
    requestsRunning: running,
    requestsWaiting: core.table.size - running,
    tokensOutstanding: tokensOutstanding(core.table.values()),
    tokensPerSecond: moment.tokensPerSecond,
    stalledMs: hasWork && stats.steps > 0 ? Math.max(0, moment.nowMs - stats.lastStepAt) : 0,
    device,
  }
}
