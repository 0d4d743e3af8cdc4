// Three brokers, replication 3, min.insync 2: the leader of all that matters is killed, the group's
// coordinator, every broker in turn; one hangs for longer than a session. All the while clients
// stream. Each ends with exactly the text of an undisturbed run, once, and work goes on after it.
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { ResumingClient, type Whereabouts } from "../support/ResumingClient.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"

const streams = 24
const tokens = 60

const bodyOf = (index: number) => ({
  model: "tales-11m",
  prompt: `Once upon a time ${index}`,
  max_tokens: tokens,
  stream: true,
  stream_options: { include_usage: true },
  ignore_eos: true,
  temperature: 0,
})

const textOf = (client: ResumingClient) => {
  const chunks = client.events.map((event) => JSON.parse(event))
  const failed = chunks.find((chunk) => chunk.error)
  if (failed) throw new Error(JSON.stringify(failed))
  const text = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.text)
  const finishes = chunks.flatMap((chunk) => chunk.choices).filter((one) => one.finish_reason)
  const usage = chunks.find((chunk) => chunk.usage)?.usage.completion_tokens
  return { text: text.join(""), finishes: finishes.length, usage }
}

let cluster: KafkaCluster
let deployment: Deployment
const where: Whereabouts = { url: null }

beforeAll(async () => {
  cluster = await KafkaCluster.start({ nodes: 3 })
  deployment = new Deployment({ kafka: cluster.bootstrap })
  deployment.prepare()
  const pace = ["--engine", "scripted", "--scripted-tokens-per-second", "15"]
  await Promise.all([deployment.start("worker", pace), deployment.start("worker", pace)])
  where.url = (await deployment.start("gateway")).url
}, 240_000)

afterAll(async () => {
  await deployment.stop()
  await cluster.stop()
}, 60_000)

/** Clients that come again whenever they were cut off; resolves when all are served. */
const serveAll = async (msMax: number) => {
  const clients = Array.from({ length: streams }, (_, i) => new ResumingClient(where, bodyOf(i)))
  const end = performance.now() + msMax
  for (const client of clients) {
    client.connect()
    await sleep(20)
  }
  while (clients.some(({ isDone }) => !isDone)) {
    for (const client of clients) client.connect()
    const faults = clients.flatMap(({ fault }) => fault ?? [])
    if (faults.length > 0) throw new Error(faults.join(", "))
    if (performance.now() > end) {
      const left = clients
        .filter(({ isDone }) => !isDone)
        .map(({ requestId, cursor }) => {
          return `${requestId} at ${cursor}`
        })
      throw new Error(`not served within ${msMax} ms: ${left.join("; ")}`)
    }
    await sleep(100)
  }
  return clients.map(textOf)
}

const faults: ReadonlyArray<readonly [string, (at: KafkaCluster) => Promise<void>]> = [
  [
    "each broker is killed in turn, and comes back",
    async (at) => {
      for (const id of at.ids) {
        await at.kill(id)
        await sleep(4000)
        await at.restart(id)
        await sleep(2000)
      }
    },
  ],
  [
    "a broker hangs for longer than a session, and wakes",
    async (at) => {
      at.freeze(2)
      await sleep(12_000)
      at.thaw(2)
    },
  ],
]

describe("clients are served whole while", () => {
  let expected: ReadonlyArray<ReturnType<typeof textOf>> = []

  it("nothing happens", { timeout: 60_000 }, async () => {
    expected = await serveAll(40_000)
    for (const answer of expected) assert.deepInclude(answer, { finishes: 1, usage: tokens })
  })

  for (const [name, happen] of faults) {
    it(name, { timeout: 240_000 }, async () => {
      let over = false
      const happening = happen(cluster).finally(() => (over = true))
      // All the while, and once more afterwards.
      for (let after = false; !after;) {
        after = over
        assert.deepStrictEqual(await serveAll(100_000), expected)
      }
      await happening
    })
  }
})
