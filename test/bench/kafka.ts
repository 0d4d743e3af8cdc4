// Sluice on a real Kafka, brokers, clients and load all on this machine: what it adds to the time
// to the first token, many streams at once, records a second beside kafkajs's own producer, what an
// idle worker costs, and how long streams stand when a leader is killed, beside kafkajs's clients
// at the same moment. On few cores the brokers are most of the load: ratios count most.
// SLUICE_TEST_BENCH_PARTS names some of the parts.
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { measureIdle } from "./kafka/idle.ts"
import { measureProduce } from "./kafka/produce.ts"
import { measureRecovery } from "./kafka/recovery.ts"
import { measureStreams } from "./kafka/streams.ts"
import { measureFirst } from "./kafka/firstToken.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const parts = [
  { name: "produce", nodes: 1, measure: measureProduce },
  { name: "idle", nodes: 1, measure: measureIdle },
  { name: "first", nodes: 1, measure: measureFirst },
  { name: "streams", nodes: 1, measure: measureStreams },
  { name: "first3", nodes: 3, measure: measureFirst },
  { name: "recovery", nodes: 3, measure: measureRecovery },
] as const

export const run = async (options: BenchOptions): Promise<BenchResult> => {
  const chosen = process.env["SLUICE_TEST_BENCH_PARTS"]?.split(",")
  const all: Record<string, number | string> = {}
  for (const { name, nodes, measure } of parts) {
    if (chosen !== undefined && !chosen.includes(name)) continue
    const cluster = await KafkaCluster.start({ nodes, optimized: true })
    try {
      for (const [key, value] of Object.entries(await measure(cluster, options))) {
        all[`${name}.${key}`] = value
      }
    } finally {
      await cluster.stop()
    }
  }
  return all
}
