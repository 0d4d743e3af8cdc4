// The whole pipeline around a scripted engine: `sluice serve` as a child, the load generator here,
// both on this machine. 100 tokens in, 200 out. Finds the highest rate at which the 99th percentile
// of the time to the first token stays below 100 ms, and says what was busy at that rate.
import { startSluice } from "../support/server.ts"
import { cpuSeconds } from "./cpuSeconds.ts"
import { type LoadResult, makeLoad } from "./load.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const promptTokens = 100
const outputTokens = 200
const tokensPerSecond = 100
const generationSeconds = outputTokens / tokensPerSecond
const firstMsMax = 100

const settings = {
  SLUICE_LOG_LEVEL: "error",
  SLUICE_ENGINE: "scripted",
  SLUICE_WORKER_SEQUENCES_MAX: "8192",
  SLUICE_WORKER_BATCH_TOKENS_MAX: "16384",
  SLUICE_SCRIPTED_TOKENS_PER_SECOND: String(tokensPerSecond),
  SLUICE_RATE_REQUESTS_PER_SECOND: "1000000",
  SLUICE_RATE_BURST: "1000000",
}

/** As `npm start` has them on two cores. */
const nodeFlags = ["--v8-pool-size=1"]

const words = ["the", "old", "fox", "and", "his", "red", "hen", "sat", "by", "a", "big", "tree"]

const body = (stream: boolean) => (index: number) => {
  const prompt = Array.from(
    { length: promptTokens },
    (_, at) => words[(at * 7 + index * (at % 3)) % words.length],
  ).join(" ")
  return JSON.stringify({
    model: "tales-11m",
    prompt,
    max_tokens: outputTokens,
    ignore_eos: true,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  })
}

interface Trial {
  readonly result: LoadResult
  /** By the server's own histogram: a whole answer shows its first token to nobody. */
  readonly firstInTimeShare: number
  readonly serverCores: number
  readonly loadCores: number
}

const trial = async (
  stream: boolean,
  requestsPerSecond: number,
  seconds: number,
): Promise<Trial> => {
  const server = await startSluice({ env: settings, nodeFlags })
  try {
    const pid = server.child.pid ?? 0
    const started = performance.now()
    const before = { server: cpuSeconds(pid), own: process.cpuUsage() }
    const result = await makeLoad({
      host: "127.0.0.1",
      port: server.port,
      requestsPerSecond,
      seconds,
      warmSeconds: Math.min(5, seconds / 4),
      connections: Math.ceil(requestsPerSecond * (generationSeconds + 0.5)),
      body: body(stream),
      stream,
      checkEvery: 50,
      check: (answer) => answer.includes(`"completion_tokens":${outputTokens}`),
    })
    const elapsed = (performance.now() - started) / 1000
    const own = process.cpuUsage(before.own)
    return {
      result,
      firstInTimeShare: await firstInTime(server.port),
      serverCores: (cpuSeconds(pid) - before.server) / elapsed,
      loadCores: (own.user + own.system) / 1e6 / elapsed,
    }
  } finally {
    await server.stop()
  }
}

const summary = (name: string, rate: number, one: Trial) => {
  const { result, serverCores, loadCores, firstInTimeShare } = one
  return {
    [`${name}.requestsPerSecond`]: rate,
    [`${name}.tokensPerSecond`]: rate * outputTokens,
    [`${name}.firstByteP50Ms`]: result.firstMs.p50,
    [`${name}.firstByteP99Ms`]: result.firstMs.p99,
    [`${name}.totalP50Ms`]: result.totalMs.p50,
    [`${name}.totalP99Ms`]: result.totalMs.p99,
    [`${name}.answered`]: result.answered,
    [`${name}.failed`]: result.failed,
    [`${name}.wrong`]: result.wrong,
    [`${name}.checked`]: result.checked,
    [`${name}.statuses`]: JSON.stringify(result.statuses),
    [`${name}.inFlightMax`]: result.inFlightMax,
    [`${name}.serverCores`]: Number(serverCores.toFixed(2)),
    [`${name}.loadCores`]: Number(loadCores.toFixed(2)),
    [`${name}.holds`]: holds(name === "streamed", one) ? "yes" : "no",
    [`${name}.firstTokenWithin100Ms`]: Number(firstInTimeShare.toFixed(4)),
  }
}

/** Beyond the pace of the tokens: a whole answer that comes later was queued somewhere. */
const behindMsMax = 250

/** The server's histogram starts when a request is accepted; the client's times when it was due. */
const holds = (stream: boolean, { result, firstInTimeShare }: Trial) =>
  result.failed === 0 &&
  result.wrong === 0 &&
  firstInTimeShare >= 0.99 &&
  (stream
    ? result.firstMs.p99 < firstMsMax
    : result.totalMs.p99 < (1000 * outputTokens) / tokensPerSecond + behindMsMax)

const firstInTime = async (port: number): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const value = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? Number.NaN)
  const within = new RegExp(
    `^llm_ttft_seconds_bucket\\{.*le="${firstMsMax / 1000}".*\\} (\\S+)`,
    "m",
  )
  return value(within) / value(/^llm_ttft_seconds_count\{.*\} (\S+)/m)
}

/** The highest rate that holds, to within a tenth, by doubling or halving and then between. */
const highest = async (stream: boolean, from: number, seconds: number): Promise<number> => {
  let low = 0
  let high = from
  while (high < 16 * from && holds(stream, await trial(stream, high, seconds))) {
    low = high
    high *= 1.5
  }
  while (high - low > 0.1 * high && high > 10) {
    const middle = (low + high) / 2
    if (holds(stream, await trial(stream, middle, seconds))) low = middle
    else high = middle
  }
  return Math.round(low)
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  if (small) {
    return {
      ...summary("whole", 50, await trial(false, 50, 3)),
      ...summary("streamed", 20, await trial(true, 20, 3)),
    }
  }
  const whole = await trial(false, 1000, 30)
  const streamed = await trial(true, 500, 30)
  return {
    ...summary("whole", 1000, whole),
    ...summary("streamed", 500, streamed),
    "whole.highestRate": await highest(false, holds(false, whole) ? 1250 : 750, 10),
    "streamed.highestRate": await highest(true, holds(true, streamed) ? 600 : 350, 10),
    limitedBy: "see serverCores and loadCores: a core that is near 1 is the limit",
  }
}
