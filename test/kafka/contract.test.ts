// The log on a real Kafka keeps the same contract as the others: the same functions, unchanged.
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { controlCases, controlKeys } from "../contract/control.ts"
import { logCases } from "../contract/log.ts"
import { groupCases } from "../contract/logGroups.ts"
import { retentionCases } from "../contract/logRetention.ts"
import { unique } from "../support/services/addresses.ts"
import { testLog, useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()

const groupTimes = { heartbeatMs: 200, sessionMs: 10_000, rebalanceMs: 10_000 }

const plain = testLog(bootstrap, { groupTimes })

/** Kafka deletes whole segments and counts bytes as it stores them: small ones, not compressed. */
const smallSegments = testLog(bootstrap, {
  groupTimes,
  topicSettings: { "internal.segment.bytes": "11000", "compression.type": "uncompressed" },
})

describe("the log on Kafka", () => {
  for (const [cases, layer] of [
    [[...logCases, ...groupCases], plain],
    [retentionCases, smallSegments],
  ] as const) {
    for (const { says, run } of cases) {
      it.live(
        says,
        () => Effect.scoped(run(unique("contract"))).pipe(Effect.provide(layer)),
        60_000,
      )
    }
  }
})

describe("control on Kafka", () => {
  for (const [i, { says, run }] of controlCases.entries()) {
    it.live(says, () => Effect.scoped(run(plain, controlKeys[i % 3]!)), 60_000)
  }
})
