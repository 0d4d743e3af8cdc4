// Everything but the brokers fails, under streams all the while: members of the workers' group come
// and go each second, a worker sleeps through its session, the registry and Redis are killed, a
// gateway dies between append and answer. Clients are served whole, and after each accident all
// topics and transcripts are judged together.
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Log } from "../../streams/Log.ts"
import { workerGroup } from "../../streams/topics.ts"
import type { Whereabouts } from "../support/ResumingClient.ts"
import type { Sluice } from "../support/server.ts"
import { answers, serveCrowd } from "../support/services/Crowd.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { Judge } from "../support/services/Judge.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { countRecords } from "../support/services/outsider.ts"
import { Redis } from "../support/services/Redis.ts"
import { Registry } from "../support/services/Registry.ts"
import { testLog } from "../support/services/testKafka.ts"

const streams = 16
const tokens = 60
const requestTopic = "sluice.requests.tales-11m.1.default"

let cluster: KafkaCluster
let registry: Registry
let redis: Redis
let deployment: Deployment
let judge: Judge
let workers: ReadonlyArray<Sluice>
const gateways: Array<Sluice> = []
const places: Array<Whereabouts> = []

const startGateway = async () => {
  const gateway = await deployment.start("gateway")
  gateways.push(gateway)
  places.push({ url: gateway.url })
}

beforeAll(async () => {
  ;[cluster, redis] = await Promise.all([KafkaCluster.start({ nodes: 1 }), Redis.start()])
  const kafka = cluster.bootstrap
  registry = await Registry.start(kafka)
  deployment = new Deployment({ kafka, registry: registry.url, redis: redis.url })
  deployment.prepare()
  const pace = ["--engine", "scripted", "--scripted-tokens-per-second", "15"]
  workers = [await deployment.start("worker", pace), await deployment.start("worker", pace)]
  await startGateway()
  await startGateway()
  const topics = [requestTopic, "sluice.tokens", "sluice.dead-letters"]
  judge = new Judge({ kafka, registry: registry.url, topics })
}, 240_000)

afterAll(async () => {
  await judge.close()
  await deployment.stop()
  await registry.stop()
  await Promise.all([cluster.stop(), redis.stop()])
}, 60_000)

const serveAll = async () => {
  const told = await serveCrowd({ askAt: places, streams, tokens, withinMs: 80_000 })
  judge.hear(told)
  return answers(told)
}

/** Joins the workers' group as a member that takes its part and does nothing, then leaves. */
const joinAndLeave = (round: number) =>
  Effect.gen(function* () {
    const log = yield* Log
    const scope = yield* Scope.Scope
    const quiet = { onAssigned: () => {}, onRecords: () => {}, onError: () => {} }
    const group = workerGroup("tales-11m", "1")
    const member = `guest-${round}`
    yield* log
      .consume({ group, member, topics: [requestTopic], slots: 4, handler: quiet })
      .pipe(Scope.provide(scope))
    yield* Effect.sleep(500)
  }).pipe(Effect.scoped)

const rebalances = Effect.gen(function* () {
  for (let round = 0; round < 30; round++) {
    const began = performance.now()
    yield* joinAndLeave(round)
    yield* Effect.sleep(Math.max(0, 1000 - (performance.now() - began)))
  }
}).pipe(Effect.provide(testLog(() => cluster.bootstrap)))

const faults: ReadonlyArray<readonly [string, () => Promise<void>]> = [
  ["the group is shared out anew every second for 30 s", () => Effect.runPromise(rebalances)],
  [
    "a worker sleeps for longer than its session, and wakes",
    async () => {
      workers[0]?.child.kill("SIGSTOP")
      await sleep(15_000)
      workers[0]?.child.kill("SIGCONT")
      await sleep(3000)
    },
  ],
  [
    "the registry and Redis are killed, and come back",
    async () => {
      await Promise.all([registry.kill(), redis.kill()])
      await sleep(6000)
      await Promise.all([registry.restart(), redis.restart()])
      // What starts now finds both.
      await startGateway()
    },
  ],
]

describe("clients are served whole while", () => {
  let expected: ReturnType<typeof answers> = []

  it("nothing happens", { timeout: 60_000 }, async () => {
    expected = await serveAll()
    for (const answer of expected) assert.deepInclude(answer, { finishes: 1, usage: tokens })
  })

  for (const [name, happen] of faults) {
    it(name, { timeout: 240_000 }, async () => {
      let over = false
      const happening = happen().finally(() => (over = true))
      // All the while, and once more afterwards.
      for (let after = false; !after;) {
        after = over
        assert.deepStrictEqual(await serveAll(), expected)
      }
      await happening
      assert.deepStrictEqual(await judge.faults(), [])
      assert.isAbove(judge.looks, 0)
    })
  }
})

describe("a gateway that is killed between append and answer", () => {
  const ask = (place: Whereabouts | undefined) =>
    fetch(`${place?.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": "asked-before-it-died" },
      body: JSON.stringify({ model: "tales-11m", prompt: "Once", max_tokens: 5, ignore_eos: true }),
    }).then(
      async (answer) => ({ status: answer.status, text: await answer.text() }),
      () => null,
    )

  it(
    "leaves a request that is run once, and answered by another",
    { timeout: 60_000 },
    async () => {
      const before = await countRecords(cluster.bootstrap, requestTopic)
      for (const { child } of workers) child.kill("SIGSTOP")
      const unanswered = ask(places[0])
      for (let waited = 0; waited < 10_000; waited += 20) {
        if ((await countRecords(cluster.bootstrap, requestTopic)) > before) break
        await sleep(20)
      }
      await gateways[0]?.kill()
      assert.isNull(await unanswered)
      const again = ask(places[1])
      await sleep(500)
      for (const { child } of workers) child.kill("SIGCONT")
      const answer = await again
      assert.strictEqual(answer?.status, 200)
      assert.strictEqual(JSON.parse(answer?.text ?? "null").usage.completion_tokens, 5)
      assert.strictEqual(await countRecords(cluster.bootstrap, requestTopic), before + 1)
      assert.deepStrictEqual(await judge.faults(), [])
    },
  )
})
