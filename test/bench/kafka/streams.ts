// 1,000 streams at once at 25 tokens a second each, through one gateway, which is their relay too:
// whether they keep their pace, and what each process costs meanwhile.
import { request } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { Deployment } from "../../support/services/Deployment.ts"
import type { KafkaCluster } from "../../support/services/KafkaCluster.ts"
import { coresOf } from "../cpuSeconds.ts"
import type { BenchOptions, BenchResult } from "../main.ts"

const tokensPerSecond = 25

interface Followed {
  tokens: number
  done: boolean
}

const follow = (url: string, index: number, tokens: number): Followed => {
  const followed: Followed = { tokens: 0, done: false }
  const headers = { "content-type": "application/json" }
  const asked = request(`${url}/v1/completions`, { method: "POST", headers }, (response) => {
    // At the end the gateway goes first.
    response.on("error", () => undefined)
    response.setEncoding("latin1")
    response.on("data", (text: string) => {
      // An event may hold several tokens; its id counts them all.
      const last = /^id: (\d+)$/m.exec(text.slice(Math.max(0, text.lastIndexOf("id: "))))?.[1]
      if (last !== undefined) followed.tokens = Number(last)
      if (text.includes("[DONE]")) followed.done = true
    })
  })
  asked.on("error", () => undefined)
  asked.end(
    JSON.stringify({
      model: "tales-11m",
      prompt: `Once upon a time ${index}`,
      max_tokens: tokens,
      ignore_eos: true,
      stream: true,
    }),
  )
  return followed
}

const sum = (all: ReadonlyArray<Followed>): number =>
  all.reduce((total, { tokens }) => total + tokens, 0)

export const measureStreams = async (
  cluster: KafkaCluster,
  { small }: BenchOptions,
): Promise<BenchResult> => {
  const streams = small ? 50 : 1000
  const seconds = small ? 4 : 10
  const deployment = new Deployment({ kafka: cluster.bootstrap })
  deployment.prepare()
  const pace = ["--engine", "scripted", "--scripted-tokens-per-second", `${tokensPerSecond}`]
  const size = ["--worker-sequences-max", "2048", "--worker-batch-tokens-max", "4096"]
  const worker = await deployment.start("worker", [...pace, ...size])
  const limits = ["--rate-requests-per-second", "100000", "--rate-burst", "100000"]
  const gateway = await deployment.start("gateway", limits)
  // They begin over some seconds, and end when the last has run for long enough.
  const tokens = small ? 500 : 1000
  const all: Array<Followed> = []
  for (let index = 0; index < streams; index++) {
    all.push(follow(gateway.url, index, tokens))
    await sleep(8)
  }
  // Those that came late catch up with what was generated before.
  const pacePerSecond = streams * tokensPerSecond
  for (let rate = Infinity, left = 12; rate > 1.05 * pacePerSecond && left > 0; left--) {
    const from = sum(all)
    await sleep(1000)
    rate = sum(all) - from
  }
  const before = sum(all)
  const began = performance.now()
  const processes = [worker, gateway]
  const cores = await Promise.all(
    processes.map(({ child }) => coresOf(child.pid ?? 0, seconds * 1000)),
  )
  const perSecond = ((sum(all) - before) / (performance.now() - began)) * 1000
  const running = all.filter(({ done }) => !done).length
  await deployment.stop()
  const [workerCores = 0, gatewayCores = 0] = cores.map((one) => Number(one.toFixed(2)))
  return {
    streams,
    running,
    tokensPerSecond: Math.round(perSecond),
    paceShare: Number((perSecond / pacePerSecond).toFixed(3)),
    workerCores,
    gatewayCores,
  }
}
