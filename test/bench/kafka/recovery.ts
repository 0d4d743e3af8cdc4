// How long streams stand still when the leader of the token partitions is killed, beside kafkajs's
// own producer and consumer (with `retry` on both) on a partition of the same leader at the same
// moment.
import { setTimeout as sleep } from "node:timers/promises"
import { ResumingClient } from "../../support/ResumingClient.ts"
import { Deployment } from "../../support/services/Deployment.ts"
import type { KafkaCluster } from "../../support/services/KafkaCluster.ts"
import { leaderOf, outsider } from "../../support/services/outsider.ts"
import { unique } from "../../support/services/addresses.ts"
import type { BenchOptions, BenchResult } from "../main.ts"

const streams = 24
const retry = { retries: 1_000_000, initialRetryTime: 50, maxRetryTime: 500 }

/** The longest time between two things that happen again and again. */
class Gap {
  longestMs = 0
  #last = performance.now()

  happened(): void {
    this.look()
    this.#last = performance.now()
  }

  look(): void {
    this.longestMs = Math.max(this.longestMs, performance.now() - this.#last)
  }
}

const bareClients = async (cluster: KafkaCluster, leader: number) => {
  const kafka = outsider(cluster.bootstrap, {
    connectionTimeout: 1000,
    requestTimeout: 5000,
    retry,
  })
  const topic = unique("bare")
  const admin = kafka.admin()
  await admin.connect()
  const replicas = [leader, ...cluster.ids.filter((id) => id !== leader)]
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, replicaAssignment: [{ partition: 0, replicas }] }],
  })
  await admin.disconnect()
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, retry })
  await producer.connect()
  const consumer = kafka.consumer({ groupId: topic, maxWaitTimeInMs: 1000, retry })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const gap = new Gap()
  await consumer.run({ autoCommit: false, eachMessage: async () => gap.happened() })
  const state = { isOver: false }
  const sending = (async () => {
    while (!state.isOver) {
      await producer
        .send({ topic, acks: -1, messages: [{ value: "x", partition: 0 }] })
        .catch(() => undefined)
      await sleep(40)
    }
  })()
  const stop = async () => {
    state.isOver = true
    await sending
    await Promise.all([producer.disconnect(), consumer.disconnect()])
  }
  return { gap, stop }
}

export const measureRecovery = async (
  cluster: KafkaCluster,
  { small }: BenchOptions,
): Promise<BenchResult> => {
  const deployment = new Deployment({ kafka: cluster.bootstrap })
  deployment.prepare()
  const pace = ["--engine", "scripted", "--scripted-tokens-per-second", "25"]
  await deployment.start("worker", pace)
  const where = { url: (await deployment.start("gateway")).url }
  const bareMs: Array<number> = []
  const streamMs: Array<number> = []
  for (let round = 0; round < (small ? 1 : 3); round++) {
    const leader = await leaderOf(cluster.bootstrap, "sluice.tokens", 0)
    const bare = await bareClients(cluster, leader)
    const clients = Array.from({ length: streams }, (_, index) => {
      const prompt = `Once upon a time ${round} ${index}`
      const body = { model: "tales-11m", prompt, max_tokens: 700, ignore_eos: true, stream: true }
      return new ResumingClient(where, body)
    })
    for (const client of clients) client.connect()
    await sleep(4000)
    const gaps = clients.map(() => new Gap())
    const seen = clients.map(({ events }) => events.length)
    bare.gap.happened()
    bare.gap.longestMs = 0
    await cluster.kill(leader)
    for (const end = performance.now() + 15_000; performance.now() < end; await sleep(10)) {
      for (const [index, client] of clients.entries()) {
        if (client.isDone || client.events.length > (seen[index] ?? 0)) gaps[index]?.happened()
        else gaps[index]?.look()
        seen[index] = client.events.length
      }
    }
    bare.gap.look()
    bareMs.push(Math.round(bare.gap.longestMs))
    streamMs.push(Math.round(Math.max(...gaps.map(({ longestMs }) => longestMs))))
    await cluster.restart(leader)
    await bare.stop()
    while (clients.some(({ isDone, fault }) => !isDone && fault === null)) {
      for (const client of clients) client.connect()
      await sleep(100)
    }
  }
  await deployment.stop()
  return {
    "kafkajs.gapMs": bareMs.join(" "),
    "streams.gapMs": streamMs.join(" "),
    worstBeyondMs: Math.max(...streamMs.map((ms, round) => ms - (bareMs[round] ?? 0))),
  }
}
