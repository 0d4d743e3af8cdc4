// A process as the faulty log sees it: where callbacks run, and whether it is there. A simulated
// machine is one; the contract suite runs the same log between two that are always there.
import { Effect } from "effect"

export interface Host {
  readonly isUp: boolean
  readonly isStopped: boolean
  readonly after: (ms: number, run: () => void) => unknown
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => void
  readonly onDeath: (run: () => void) => void
  readonly onStop: (run: () => void) => void
  readonly onContinue: (run: () => void) => void
}

/** This process, in real time. */
export const liveHost: Host = {
  isUp: true,
  isStopped: false,
  after: (ms, run) => setTimeout(run, ms),
  fork: (effect) => void Effect.runFork(effect),
  onDeath: () => {},
  onStop: () => {},
  onContinue: () => {},
}

/** Messages of one lane arrive in the order in which they were sent, each after its own time. */
export class Lanes {
  readonly #to: Host
  readonly #latencyMs: () => number
  readonly #waiting = new Map<string, Array<{ isDue: boolean; readonly run: () => void }>>()

  constructor(to: Host, latencyMs: () => number) {
    this.#to = to
    this.#latencyMs = latencyMs
  }

  send(lane: string, run: () => void, extraMs = 0): void {
    let queue = this.#waiting.get(lane)
    if (queue === undefined) {
      queue = []
      this.#waiting.set(lane, queue)
    }
    const waiting = queue
    const message = { isDue: false, run }
    waiting.push(message)
    this.#to.after(this.#latencyMs() + extraMs, () => {
      message.isDue = true
      while (waiting[0]?.isDue === true) waiting.shift()?.run()
    })
  }
}
