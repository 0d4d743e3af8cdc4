// Three brokers, replication 3, min.insync 2, under streams all the while: leaders, coordinators
// and each broker in turn are killed, one hangs for longer than a session, one's disk is full. Each
// client ends with exactly the text of an undisturbed run, once; and after each accident all topics
// and transcripts are judged together.
import { execFileSync } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { workerGroup } from "../../streams/topics.ts"
import type { Whereabouts } from "../support/ResumingClient.ts"
import { answers, serveCrowd } from "../support/services/Crowd.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { Judge } from "../support/services/Judge.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { coordinatorOf, leaderOf } from "../support/services/outsider.ts"

const streams = 24
const tokens = 60

let cluster: KafkaCluster
let deployment: Deployment
let judge: Judge
const where: Whereabouts = { url: null }

beforeAll(async () => {
  cluster = await KafkaCluster.start({ nodes: 3 })
  deployment = new Deployment({ kafka: cluster.bootstrap })
  deployment.prepare()
  const pace = ["--engine", "scripted", "--scripted-tokens-per-second", "15"]
  await Promise.all([deployment.start("worker", pace), deployment.start("worker", pace)])
  where.url = (await deployment.start("gateway")).url
  judge = new Judge({ kafka: cluster.bootstrap })
}, 240_000)

afterAll(async () => {
  await judge.close()
  await deployment.stop()
  await cluster.stop()
}, 60_000)

const serveAll = async (withinMs: number) => {
  const told = await serveCrowd({ askAt: [where], streams, tokens, withinMs })
  judge.hear(told)
  return answers(told)
}

const killFor = async (id: number) => {
  await cluster.kill(id)
  await sleep(4000)
  await cluster.restart(id)
  await sleep(2000)
}

const faults: ReadonlyArray<readonly [string, () => Promise<void>]> = [
  [
    "the leader of a token partition is killed, and comes back",
    async () => killFor(await leaderOf(cluster.bootstrap, "sluice.tokens", 0)),
  ],
  [
    "the workers' group loses its coordinator, twice",
    async () => {
      const group = workerGroup("tales-11m", "1")
      await killFor(await coordinatorOf(cluster.bootstrap, group))
      await killFor(await coordinatorOf(cluster.bootstrap, group))
    },
  ],
  [
    "each broker is killed in turn, and comes back",
    async () => {
      for (const id of cluster.ids) await killFor(id)
    },
  ],
  [
    "a broker hangs for longer than a session, and wakes",
    async () => {
      cluster.freeze(2)
      await sleep(12_000)
      cluster.thaw(2)
    },
  ],
  [
    "a broker's disk is full, and it comes back with room",
    async () => {
      // No file may grow past this any more: what the broker writes fails, as on a full disk.
      const id = await leaderOf(cluster.bootstrap, "sluice.tokens", 0)
      execFileSync("prlimit", ["--pid", `${cluster.pid(id)}`, "--fsize=4096"])
      for (let waited = 0; cluster.isUp(id) && waited < 20_000; waited += 100) await sleep(100)
      assert.isFalse(cluster.isUp(id), "a broker without room for its log ends")
      await sleep(3000)
      await cluster.restart(id)
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
      const happening = happen().finally(() => (over = true))
      // All the while, and once more afterwards.
      for (let after = false; !after;) {
        after = over
        assert.deepStrictEqual(await serveAll(100_000), expected)
      }
      await happening
      assert.deepStrictEqual(await judge.faults(), [])
      assert.isAbove(judge.looks, 0)
    })
  }
})
