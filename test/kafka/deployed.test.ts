// Sluice as operators run it: three gateways, three workers and two relays, each a process, on
// three brokers with replication 3 and min.insync 2, with a registry and Redis. Topics are made
// first, once; a service that misses one, or finds it too narrow, says so and stops.
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Whereabouts } from "../support/ResumingClient.ts"
import { type Sluice, startSluice } from "../support/server.ts"
import { answers, serveCrowd } from "../support/services/Crowd.ts"
import { Deployment, runCli } from "../support/services/Deployment.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { Redis } from "../support/services/Redis.ts"
import { Registry } from "../support/services/Registry.ts"
import { describeTopics } from "../support/services/outsider.ts"
import { connectionsTo } from "../support/services/sockets.ts"
import { addresses } from "../support/services/addresses.ts"

const tokens = 60

/**
 * Of a gateway: its eight producers' to the leaders of some 30 partitions, its few tails' and its
 * reader's to each broker. A consumer for each of 20 clients would be 40 more at least.
 */
const connectionsMax = 50
const perKey = 40

const flagsOf = {
  worker: ["--engine", "scripted", "--scripted-tokens-per-second", "25"],
  gateway: ["--rate-burst", `${perKey}`],
  relay: [],
}

let cluster: KafkaCluster
let registry: Registry
let redis: Redis
let deployment: Deployment

beforeAll(async () => {
  ;[cluster, registry, redis] = await Promise.all([
    KafkaCluster.start({ nodes: 3 }),
    Registry.start(),
    Redis.start(),
  ])
  const servers = { kafka: cluster.bootstrap, registry: registry.url, redis: redis.url }
  deployment = new Deployment(servers)
}, 240_000)

afterAll(async () => {
  await deployment.stop()
  await Promise.all([cluster.stop(), registry.stop(), redis.stop()])
}, 60_000)

const topics = (...more: ReadonlyArray<string>) =>
  runCli(["topics", "apply", ...deployment.servers, ...more])

describe("sluice topics apply", () => {
  it("says first what it would do, and a service without its topics stops", async () => {
    const plan = topics("--dry-run")
    assert.strictEqual(plan.code, 0, plan.err)
    assert.match(plan.out, /^make +sluice\.tokens +4 partitions x 3/m)
    assert.match(plan.out, /Nothing was done/)
    assert.deepStrictEqual(await describeTopics(cluster.bootstrap), new Map())
    const { code, err } = runCli(["gateway", "--port", "0", ...deployment.servers])
    assert.strictEqual(code, 1)
    assert.match(err, /topics are missing: sluice\.tokens, .*sluice topics apply/)
  })

  it("makes them as configured, and nothing the second time", { timeout: 60_000 }, async () => {
    assert.strictEqual(topics().code, 0)
    const made = await describeTopics(cluster.bootstrap)
    assert.deepInclude(made.get("sluice.tokens"), {
      partitions: 4,
      replicas: 3,
      "min.insync.replicas": "2",
      "cleanup.policy": "delete",
      "retention.ms": "86400000",
    })
    assert.deepInclude(made.get("sluice.workers"), { "cleanup.policy": "compact,delete" })
    assert.deepInclude(made.get("sluice.requests.tales-11m.1.default"), { partitions: 8 })
    const again = topics()
    assert.strictEqual(again.code, 0)
    assert.match(again.out, /All is as it should be/)
    assert.notMatch(again.out, /^(make|change)/m)
    assert.deepStrictEqual(await describeTopics(cluster.bootstrap), made)
  })

  it("changes how long records are kept, and back", { timeout: 60_000 }, async () => {
    const changed = topics("--log-retention-ms", "2h")
    assert.match(changed.out, /^change +sluice\.tokens/m)
    const kept = (await describeTopics(cluster.bootstrap)).get("sluice.tokens")
    assert.deepInclude(kept, { "retention.ms": "7200000", "min.insync.replicas": "2" })
    assert.strictEqual(topics().code, 0)
  })

  it("refuses a topic that is narrower than asked, as services do", async () => {
    const wider = ["--log-token-partitions", "6"]
    const applied = topics(...wider)
    assert.strictEqual(applied.code, 1)
    assert.match(applied.err, /sluice\.tokens has 4 partitions, 6 are asked for/)
    const { code, err } = runCli(["gateway", "--port", "0", ...deployment.servers, ...wider])
    assert.strictEqual(code, 1)
    assert.match(err, /sluice\.tokens has 4 partitions, 6 are asked for/)
  })
})

describe("three gateways, three workers and two relays", () => {
  const gateways: Array<Whereabouts> = []
  const relays: Array<Whereabouts> = []
  const watchers: Array<Sluice> = []

  beforeAll(async () => {
    deployment.prepare()
    const start = async (kind: "gateway" | "worker" | "relay", count: number) => {
      const all = Array.from({ length: count }, () => deployment.start(kind, flagsOf[kind]))
      return Promise.all(all)
    }
    await start("worker", 3)
    watchers.push(...(await start("gateway", 3)))
    gateways.push(...watchers.map(({ url }) => ({ url })))
    relays.push(...(await start("relay", 2)).map(({ url }) => ({ url })))
  }, 120_000)

  it("stream through every gateway, and resume at every relay", { timeout: 90_000 }, async () => {
    const crowd = { askAt: gateways, streams: 24, tokens, withinMs: 60_000 }
    const undisturbed = await serveCrowd(crowd)
    for (const told of undisturbed) {
      assert.deepInclude(told, { finishes: 1, usage: tokens, breaks: 0 })
    }
    const resumed = await serveCrowd({ ...crowd, resumeAt: relays, breakEveryMs: 100 })
    assert.deepStrictEqual(answers(resumed), answers(undisturbed))
    assert.isAbove(resumed.filter(({ breaks }) => breaks > 0).length, 4)
    for (const { url } of [...gateways, ...relays]) {
      for (const { requestId } of [...undisturbed.slice(0, 3), ...resumed.slice(0, 3)]) {
        const view = await fetch(`${url}/v1/requests/${requestId}`)
        assert.deepInclude(await view.json(), { status: "finished" })
      }
    }
  })

  it("follow the logs with as many connections at any load", { timeout: 90_000 }, async () => {
    const ports = addresses(cluster.bootstrap).map(({ port }) => port)
    const pids = watchers.map(({ child }) => child.pid ?? 0)
    const now = () => pids.map((pid) => connectionsTo(pid, ports))
    const crowd = { askAt: gateways, resumeAt: relays, streams: 60, tokens, withinMs: 50_000 }
    const serving = serveCrowd({ ...crowd, breakEveryMs: 100 })
    const state = { isOver: false }
    void serving.finally(() => (state.isOver = true)).catch(() => undefined)
    let most = now()
    while (!state.isOver) {
      most = now().map((count, index) => Math.max(count, most[index] ?? 0))
      await sleep(100)
    }
    await serving
    for (const count of most) assert.isAtMost(count, connectionsMax)
  })

  it("hold one limit together", async () => {
    // What the streams above took is refilled by now: a key's rate is 100 a second.
    const asked = Array.from({ length: perKey * 3 }, (_, index) => index).map((index) =>
      fetch(`${gateways[index % 3]?.url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "tales-11m", prompt: "Once", max_tokens: 1 }),
      }).then(({ status }) => status),
    )
    const began = performance.now()
    const statuses = await Promise.all(asked)
    const refilled = ((performance.now() - began) / 1000) * 100
    const allowed = statuses.filter((status) => status === 200).length
    assert.isAtLeast(allowed, perKey)
    assert.isAtMost(allowed, perKey + refilled)
    assert.strictEqual(statuses.filter((status) => status === 429).length, perKey * 3 - allowed)
  })
})

describe("sluice serve", () => {
  it("is all of it in one process, on the same topics", { timeout: 60_000 }, async () => {
    const flags = [...deployment.servers, "--redis", redis.url, ...flagsOf.worker]
    const server = await startSluice({ flags, readyMsMax: 30_000 })
    const askAt = [{ url: server.url }]
    const told = await serveCrowd({ askAt, streams: 6, tokens, withinMs: 30_000 })
    for (const one of told) assert.deepInclude(one, { finishes: 1, usage: tokens })
    assert.strictEqual(await server.stop(), 0)
  })
})
