// The time to the first token at 200 streamed requests a second through a gateway and a worker,
// beside the scripted engine alone at the same pace, and beside one way through the same brokers by
// kafkajs's own clients just before and just after: a first token takes two such ways, and waits
// for the acknowledgement of its claim in between.
import {
  makeScriptedEngine,
  scriptedDefaults,
} from "../../../src/generate/engine/ScriptedEngine.ts"
import { Deployment } from "../../support/services/Deployment.ts"
import type { KafkaCluster } from "../../support/services/KafkaCluster.ts"
import { bareEngine, promptOf } from "../bareEngine.ts"
import { type LoadOptions, makeLoad, quantiles } from "../load.ts"
import { bareHops } from "./bareHop.ts"
import type { BenchOptions, BenchResult } from "../main.ts"

const requestsPerSecond = 200
const maxTokens = 4
const promptTokens = 32

const bare = async (requests: number) => {
  const now = () => performance.now()
  const { engine, close } = makeScriptedEngine({ ...scriptedDefaults, stepIntervalMs: 0, now })
  const { run } = bareEngine(engine)
  const times: Array<number> = []
  for (let index = 0; index < requests; index++) {
    const [one] = await run([{ promptIds: promptOf(index, promptTokens), maxTokens }])
    times.push(one?.firstMs ?? Number.NaN)
    await new Promise((resolve) => setTimeout(resolve, 1000 / requestsPerSecond))
  }
  close()
  return quantiles(times)
}

export const measureFirst = async (
  cluster: KafkaCluster,
  { small }: BenchOptions,
): Promise<BenchResult> => {
  const seconds = small ? 2 : 15
  const engine = await bare(small ? 100 : 1000)
  const deployment = new Deployment({ kafka: cluster.bootstrap })
  deployment.prepare()
  await deployment.start("worker", ["--engine", "scripted"])
  const limits = ["--rate-requests-per-second", "100000", "--rate-burst", "100000"]
  const { port } = await deployment.start("gateway", limits)
  const load: LoadOptions = {
    host: "127.0.0.1",
    port,
    requestsPerSecond,
    seconds,
    warmSeconds: 0,
    connections: 40,
    body: (index) =>
      JSON.stringify({
        model: "tales-11m",
        prompt: promptOf(index, promptTokens),
        max_tokens: maxTokens,
        ignore_eos: true,
        temperature: 0,
        stream: true,
      }),
    stream: true,
    checkEvery: 10,
    check: (answer) => answer.includes("[DONE]"),
  }
  // Uncompiled code and new topics come first.
  await makeLoad({ ...load, seconds: small ? 2 : 12 })
  const hopSeconds = small ? 1 : 6
  const before = await bareHops(cluster, requestsPerSecond, hopSeconds)
  const { firstMs, failed, wrong } = await makeLoad(load)
  const hops = quantiles([...before, ...(await bareHops(cluster, requestsPerSecond, hopSeconds))])
  await deployment.stop()
  return {
    requestsPerSecond,
    failed: failed + wrong,
    "engine.p50Ms": engine.p50,
    "engine.p99Ms": engine.p99,
    addedP50Ms: Number((firstMs.p50 - engine.p50).toFixed(2)),
    addedP99Ms: Number((firstMs.p99 - engine.p99).toFixed(2)),
    "kafkajs.oneWayP50Ms": hops.p50,
    "kafkajs.oneWayP99Ms": hops.p99,
    ratioP50: Number(((firstMs.p50 - engine.p50) / hops.p50).toFixed(2)),
    ratioP99: Number(((firstMs.p99 - engine.p99) / hops.p99).toFixed(2)),
  }
}
