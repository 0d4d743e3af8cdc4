// The Kafka of a test file: the one that SLUICE_TEST_KAFKA names, else one node of its own, started
// before the first test and stopped after the last.
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { type KafkaLogOptions, kafkaLog } from "../../../streams/kafka/KafkaLog.ts"
import { addresses } from "./addresses.ts"
import { KafkaCluster } from "./KafkaCluster.ts"

export const useKafka = (): { readonly bootstrap: () => string } => {
  const named = process.env["SLUICE_TEST_KAFKA"]
  let cluster: KafkaCluster | null = null
  beforeAll(async () => {
    if (named === undefined) cluster = await KafkaCluster.start({ nodes: 1 })
  }, 180_000)
  afterAll(async () => cluster?.stop(), 60_000)
  return { bootstrap: () => named ?? cluster?.bootstrap ?? "" }
}

export const testLog = (bootstrap: () => string, options: Partial<KafkaLogOptions> = {}) =>
  Layer.unwrap(
    Effect.sync(() => kafkaLog({ brokers: addresses(bootstrap()), clientId: "test", ...options })),
  )
