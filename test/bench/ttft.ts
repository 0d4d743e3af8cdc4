// What everything but the engine adds to the time to the first token: the same prompts at the same
// pace through the engine alone and through `sluice serve`, streamed. One request at a time.
import { join } from "node:path"
import { projectRoot } from "../support/shared.ts"
import { startSluice } from "../support/server.ts"
import { promptOf, withEngine } from "./bareEngine.ts"
import { type LoadOptions, makeLoad, quantiles } from "./load.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const promptTokens = 32
const maxTokens = 4
const requestsPerSecond = 10

const bare = (requests: number) =>
  withEngine(join(projectRoot, "models", "tales-11m"), async (engine) => {
    const times: Array<number> = []
    for (let index = 0; index < requests; index++) {
      const begin = performance.now()
      const [one] = await engine.run([{ promptIds: promptOf(index, promptTokens), maxTokens }])
      times.push(one?.firstMs ?? Number.NaN)
      const rest = 1000 / requestsPerSecond - (performance.now() - begin)
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, rest)))
    }
    return quantiles(times)
  })

const served = async (requests: number) => {
  const server = await startSluice({ env: { SLUICE_WORKER_PREFIX_CACHE: "false" } })
  try {
    const load: LoadOptions = {
      host: "127.0.0.1",
      port: server.port,
      requestsPerSecond,
      seconds: requests / requestsPerSecond,
      warmSeconds: 1,
      connections: 4,
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
      checkEvery: 1,
      check: (answer) => answer.includes("[DONE]"),
    }
    // A server that has answered nothing yet runs uncompiled code; the engine has no such phase.
    await makeLoad({ ...load, requestsPerSecond: 40, seconds: requests / 40 })
    return await makeLoad(load)
  } finally {
    await server.stop()
  }
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const requests = small ? 30 : 300
  const engine = await bare(requests)
  const whole = await served(requests)
  return {
    requests,
    failed: whole.failed + whole.wrong,
    "engine.firstP50Ms": engine.p50,
    "engine.firstP99Ms": engine.p99,
    "served.firstP50Ms": whole.firstMs.p50,
    "served.firstP99Ms": whole.firstMs.p99,
    addedP50Ms: Math.round((whole.firstMs.p50 - engine.p50) * 100) / 100,
    addedP99Ms: Math.round((whole.firstMs.p99 - engine.p99) * 100) / 100,
  }
}
