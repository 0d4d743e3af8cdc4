// The log on a real Kafka keeps the same contract as the others: the same functions, unchanged.
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { logCases } from "../contract/log.ts"
import { groupCases } from "../contract/logGroups.ts"
import { retentionCases } from "../contract/logRetention.ts"
import { testLog, unique, useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()

/** Kafka deletes whole segments, and counts bytes as it stores them: small ones, not compressed. */
const layer = testLog(bootstrap, {
  topicSettings: { "internal.segment.bytes": "12000", "compression.type": "uncompressed" },
  groupTimes: { heartbeatMs: 200, sessionMs: 10_000, rebalanceMs: 10_000 },
})

describe("the log on Kafka", () => {
  const cases = [...logCases, ...groupCases, ...retentionCases]
  for (const [index, { says, run }] of cases.entries()) {
    it.live(
      says,
      () => Effect.scoped(run(unique(`contract-${index}`))).pipe(Effect.provide(layer)),
      60_000,
    )
  }
})
