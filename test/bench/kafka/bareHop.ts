// From a send of kafkajs's own producer to its consumer in the same process, at a pace: what one
// way through these brokers takes on this machine, now.
import { setTimeout as sleep } from "node:timers/promises"
import type { KafkaCluster } from "../../support/services/KafkaCluster.ts"
import { outsider } from "../../support/services/outsider.ts"
import { unique } from "../../support/services/addresses.ts"

const partitions = 4

export const bareHops = async (
  cluster: KafkaCluster,
  perSecond: number,
  seconds: number,
): Promise<ReadonlyArray<number>> => {
  const kafka = outsider(cluster.bootstrap)
  const topic = unique("hop")
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions }] })
  await admin.disconnect()
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 1000 })
  const times: Array<number> = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => {
      times.push(performance.now() - Number(message.value))
    },
  })
  // A producer a partition, each with one send on its way.
  const producers = await Promise.all(
    Array.from({ length: partitions }, async () => {
      const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
      await producer.connect()
      return producer
    }),
  )
  await sleep(1000)
  const began = performance.now()
  for (let sent = 0; sent < perSecond * seconds; sent++) {
    const dueMs = began + (sent / perSecond) * 1000 - performance.now()
    if (dueMs > 0) await sleep(dueMs)
    const partition = sent % partitions
    const value = String(performance.now())
    void producers[partition]?.send({ topic, acks: -1, messages: [{ value, partition }] })
  }
  await sleep(1000)
  await Promise.all([consumer.disconnect(), ...producers.map((one) => one.disconnect())])
  // The first ones meet code that is not compiled yet.
  return times.slice(Math.floor(times.length / 4))
}
