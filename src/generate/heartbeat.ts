// The worker's pulse: its status to the workers' log each second and at every change of state, and
// with it the gauges. A heartbeat that cannot be written is the log's
// trouble; the next one says the same and more.
import { Effect } from "effect"
import type { WorkerState, WorkerStatus } from "../../schemas/types.ts"
import type { StepOutput } from "./engine/stepOutput.ts"
import { Gauges, type GaugesOptions } from "./gauges.ts"
import { Meter, statusOf, type StatusParts } from "./status.ts"
import type { WorkerLog } from "../../streams/WorkerLog.ts"

const lastWordMs = 1_000

export interface HeartbeatOptions extends StatusParts, GaugesOptions {
  readonly log: WorkerLog["Service"]
}

export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #meter = new Meter()
  #state: WorkerState = "starting"
  readonly #gauges: Gauges

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#gauges = new Gauges(options)
  }

  onStep(step: StepOutput): void {
    this.#meter.onStep(step)
    this.#gauges.onStep(step)
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
    const { now, log } = this.#options
    const tokensPerSecond = this.#meter.rate(now())
    const status = this.#status(tokensPerSecond)
    log.appendThen(status, () => {})
    this.#gauges.show(status)
  }

  get stalledMs(): number {
    return this.#status(0).stalledMs
  }

  #status(tokensPerSecond: number): WorkerStatus {
    const moment = { nowMs: this.#options.now(), state: this.#state, tokensPerSecond }
    return statusOf(this.#options, moment)
  }
}
