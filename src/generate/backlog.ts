// How much a worker reads ahead: past a tier's bound its partitions are paused, and resumed at half
// of it. What is not read waits in the log, where it costs nothing and another worker may take it.
import type { Tier } from "../../schemas/types.ts"
import type { TopicPartition } from "../../streams/Log.ts"
import { tiers } from "../../streams/topics.ts"
import type { Assignment } from "./assignment.ts"
import type { InFlightTable } from "./inFlight.ts"

export interface BacklogBound {
  /** In flight, of one tier. */
  readonly requestsMax: number
  /** 8 bytes each: 8 million are 64 MB a tier. */
  readonly promptTokensMax: number
}

export interface Valve {
  readonly pause: (partitions: ReadonlyArray<TopicPartition>) => void
  readonly resume: (partitions: ReadonlyArray<TopicPartition>) => void
}

export class Backlog {
  readonly #bound: BacklogBound
  readonly #table: InFlightTable
  readonly #assignment: Assignment
  readonly #paused = new Set<Tier>()
  #valve: Valve | null = null
  #isClosed = false

  constructor(bound: BacklogBound, table: InFlightTable, assignment: Assignment) {
    this.#bound = bound
    this.#table = table
    this.#assignment = assignment
  }

  /** The consumer's; before it is there nothing is delivered, so nothing has to be paused. */
  connect(valve: Valve): void {
    this.#valve = valve
    this.reapply()
  }

  /** After every turn. */
  check(): void {
    for (const tier of tiers) {
      const { requests, promptTokens } = this.#table.held(tier)
      const { requestsMax, promptTokensMax } = this.#bound
      const fullness = Math.max(requests / requestsMax, promptTokens / promptTokensMax)
      if (fullness >= 1 && !this.#paused.has(tier)) this.#pause(tier)
      else if (fullness <= 0.5 && this.#paused.has(tier) && !this.#isClosed) this.#resume(tier)
    }
  }

  /** Partitions that came new to a paused tier are paused too. */
  reapply(): void {
    for (const tier of this.#paused) this.#valve?.pause(this.#assignment.ofTier(tier))
  }

  /** For good: the worker drains. */
  close(): void {
    this.#isClosed = true
    for (const tier of tiers) this.#pause(tier)
  }

  #pause(tier: Tier): void {
    this.#paused.add(tier)
    this.#valve?.pause(this.#assignment.ofTier(tier))
  }

  #resume(tier: Tier): void {
    this.#paused.delete(tier)
    this.#valve?.resume(this.#assignment.ofTier(tier))
  }
}
