// Records a second of one appender to one partition, one call after another, beside kafkajs's own
// idempotent producer at the same batch size; the two take turns, so that both meet the same noise.
import { randomBytes } from "node:crypto"
import { Effect, Layer, ManagedRuntime } from "effect"
import { kafkaLog } from "../../../streams/kafka/KafkaLog.ts"
import { Log } from "../../../streams/Log.ts"
import type { KafkaCluster } from "../../support/services/KafkaCluster.ts"
import { outsider } from "../../support/services/outsider.ts"
import { addresses, unique } from "../../support/services/addresses.ts"
import type { BenchOptions, BenchResult } from "../main.ts"

const sizes = [1, 16, 256]
const recordBytes = 200
const rounds = 4

/** Calls a second of `send`, over so long. */
const rate = async (ms: number, send: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  let calls = 0
  for (; performance.now() - began < ms; calls++) await send()
  return (calls / (performance.now() - began)) * 1000
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

export const measureProduce = async (
  cluster: KafkaCluster,
  { small }: BenchOptions,
): Promise<BenchResult> => {
  const layer = kafkaLog({ brokers: addresses(cluster.bootstrap), clientId: "bench" })
  const runtime = ManagedRuntime.make(Layer.orDie(layer))
  const log = await runtime.runPromise(Effect.map(Log, (found) => found))
  const topic = unique("bench")
  const kept = Number.MAX_SAFE_INTEGER
  const spec = { cleanup: "delete", retentionMs: kept, retentionBytes: kept } as const
  await runtime.runPromise(log.createTopics([{ name: topic, partitions: 2, ...spec }]))
  const producer = outsider(cluster.bootstrap).producer({
    idempotent: true,
    maxInFlightRequests: 1,
  })
  await producer.connect()
  const value = randomBytes(recordBytes)
  const roundMs = small ? 300 : 3000
  const measured: Record<string, number> = {}
  for (const size of sizes) {
    const records = Array.from({ length: size }, () => ({ key: null, value }))
    const messages = Array.from({ length: size }, () => ({ value, partition: 1 }))
    const ours: Array<number> = []
    const theirs: Array<number> = []
    const own = () =>
      new Promise<void>((resolve, reject) =>
        log.appendThen({ topic, partition: 0 }, records, (error) =>
          error === null ? resolve() : reject(error),
        ),
      )
    const bare = () => producer.send({ topic, acks: -1, messages })
    await rate(roundMs / 2, own)
    await rate(roundMs / 2, bare)
    for (let round = 0; round < rounds; round++) {
      ours.push((await rate(roundMs / rounds, own)) * size)
      theirs.push((await rate(roundMs / rounds, bare)) * size)
    }
    measured[`recordsPerSecond.${size}`] = Math.round(median(ours))
    measured[`kafkajs.recordsPerSecond.${size}`] = Math.round(median(theirs))
    measured[`ratio.${size}`] = Number((median(ours) / median(theirs)).toFixed(2))
  }
  await producer.disconnect()
  await runtime.dispose()
  return measured
}
