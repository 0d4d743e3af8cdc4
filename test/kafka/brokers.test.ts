// Three brokers, replication 3, min.insync 2: the leader of all that matters is killed, the group's
// coordinator, every broker in turn; one hangs for longer than a session. All the while clients
// stream. Each ends with exactly the text of an undisturbed run, once, and work goes on after it.
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Whereabouts } from "../support/ResumingClient.ts"
import { answers, serveCrowd } from "../support/services/Crowd.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"

const streams = 24
const tokens = 60

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

const serveAll = async (withinMs: number) =>
  answers(await serveCrowd({ askAt: [where], streams, tokens, withinMs }))

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
  let expected: ReturnType<typeof answers> = []

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
