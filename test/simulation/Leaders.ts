// Which partitions of the shared log have a leader just now. While one has none, appends to it wait
// in their order; all that was acknowledged stays.
import type { TopicPartition } from "../../streams/Log.ts"
import { partitionKey } from "../../streams/partitionKey.ts"
import type { Host } from "./Host.ts"

export class Leaders {
  readonly #broker: Host
  readonly #waiting = new Map<string, Array<() => void>>()

  constructor(broker: Host) {
    this.#broker = broker
  }

  /** The partition has no leader for so long. */
  leave(partition: TopicPartition, ms: number): void {
    const key = partitionKey(partition)
    if (this.#waiting.has(key)) return
    this.#waiting.set(key, [])
    this.#broker.after(ms, () => {
      const waiting = this.#waiting.get(key) ?? []
      this.#waiting.delete(key)
      for (const run of waiting) run()
    })
  }

  whenThere(partition: TopicPartition, run: () => void): void {
    const waiting = this.#waiting.get(partitionKey(partition))
    if (waiting === undefined) run()
    else waiting.push(run)
  }
}
