// How far the worker is behind the request log, by partition: where its watermark stands, and how
// many records lie above it. A log that does not answer leaves the last values standing; the
// worker's own reads find out soon enough.
import { Effect } from "effect"
import type { Bounds, LogError, TopicPartition } from "../../streams/Log.ts"
import type { Metrics } from "../telemetry/Metrics.ts"
import type { Assignment, Owned } from "./assignment.ts"

export interface LagOptions {
  readonly model: string
  readonly assignment: Assignment
  readonly metrics: Metrics["Service"]
  readonly bounds: (partition: TopicPartition) => Effect.Effect<Bounds, LogError>
  readonly committed: (partition: Owned) => Effect.Effect<number | null, LogError>
}

/** A gauge of a partition that went to another worker would stand for ever. */
const nothing = 0

export const makeLag = ({ model, assignment, metrics, bounds, committed }: LagOptions) => {
  const shown = new Map<string, Readonly<Record<string, string>>>()
  return Effect.fn("Worker.lag")(function* () {
    const owned = assignment.partitions
    const labelsOf = (tier: string, partition: number) => ({
      model,
      tier,
      partition: String(partition),
    })
    const kept = new Set(owned.map(({ tier, partition }) => `${tier}/${partition}`))
    for (const [key, labels] of shown) {
      if (kept.has(key)) continue
      shown.delete(key)
      metrics.gauge("sluice_log_lag_records", labels, nothing)
      metrics.gauge("sluice_commit_watermark", labels, nothing)
    }
    for (const one of owned) {
      const { first, next } = yield* bounds(one)
      const mark = one.watermark.mark ?? (yield* committed(one)) ?? first
      const labels = labelsOf(one.tier, one.partition)
      shown.set(`${one.tier}/${one.partition}`, labels)
      metrics.gauge("sluice_log_lag_records", labels, Math.max(0, next - Math.max(first, mark)))
      metrics.gauge("sluice_commit_watermark", labels, mark)
    }
  }, Effect.ignore)
}
