// A crowd of clients on one worker that runs a real model: every client streams a completion, takes
// its next as soon as that has ended, and notes when each event came. The whole of Sluice is in
// between: gateway, the embedded log, worker, engine, relay.
//
//   SLUICE_BENCH_MODEL    a model folder; models/tales-11m unless said otherwise
//   SLUICE_DEVICE         what runs it, as for `sluice serve`
import { Agent, request } from "node:http"
import { join } from "node:path"
import { projectRoot } from "../support/shared.ts"
import { type Sluice, startSluice } from "../support/server.ts"
import { cpuSeconds } from "./cpuSeconds.ts"
import { quantiles } from "./load.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const promptTokens = 100
const outputTokens = 200
const readyMsMax = 180_000

const folder = process.env["SLUICE_BENCH_MODEL"] ?? join(projectRoot, "models", "tales-11m")

const settings = (clients: number) => ({
  SLUICE_LOG_LEVEL: "error",
  SLUICE_MODEL: folder,
  SLUICE_WORKER_SEQUENCES_MAX: String(clients),
  SLUICE_WORKER_BATCH_TOKENS_MAX: "8192",
  SLUICE_RATE_REQUESTS_PER_SECOND: "1000000",
  SLUICE_RATE_BURST: "1000000",
})

/** Ids of plain words, a different beginning for each request: no two share a prefix. */
const body = (model: string, index: number): string =>
  JSON.stringify({
    model,
    prompt: Array.from(
      { length: promptTokens },
      (_, at) => 300 + ((index * 7919 + at * 31) % 3000),
    ),
    max_tokens: outputTokens,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  })

interface Seen {
  readonly firstMs: Array<number>
  readonly betweenMs: Array<number>
  readonly totalMs: Array<number>
  tokens: number
  failed: number
  lastFailure: string
}

const usage = /"completion_tokens":(\d+)/

const one = (server: Sluice, agent: Agent, text: string, seen: Seen): Promise<void> =>
  new Promise((resolve) => {
    const started = performance.now()
    let last = 0
    let tail = ""
    const fail = (why: string) => {
      seen.failed++
      seen.lastFailure = why
      resolve()
    }
    const sent = request(
      `${server.url}/v1/completions`,
      { method: "POST", agent, headers: { "content-type": "application/json" } },
      (answer) => {
        answer.on("data", (chunk: Buffer) => {
          const now = performance.now()
          if (last === 0) seen.firstMs.push(now - started)
          else seen.betweenMs.push(now - last)
          last = now
          tail = (tail + chunk.toString("latin1")).slice(-1000)
        })
        answer.on("error", (error) => fail(error.message))
        answer.on("end", () => {
          const tokens = Number(usage.exec(tail)?.[1] ?? 0)
          if (tokens !== outputTokens) return fail(`${answer.statusCode} ${tail.slice(-200)}`)
          seen.tokens += tokens
          seen.totalMs.push(performance.now() - started)
          resolve()
        })
      },
    )
    sent.on("error", (error) => fail(error.message))
    sent.end(text)
  })

const crowd = async (server: Sluice, clients: number, requests: number): Promise<BenchResult> => {
  const model = folder.split("/").at(-1) ?? ""
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const seen: Seen = {
    firstMs: [],
    betweenMs: [],
    totalMs: [],
    tokens: 0,
    failed: 0,
    lastFailure: "",
  }
  const pid = server.child.pid ?? 0
  const cpuBefore = cpuSeconds(pid)
  const started = performance.now()
  let next = 0
  const client = async () => {
    while (next < requests) await one(server, agent, body(model, next++), seen)
  }
  await Promise.all(Array.from({ length: clients }, client))
  const seconds = (performance.now() - started) / 1000
  agent.destroy()
  const first = quantiles(seen.firstMs)
  const between = quantiles(seen.betweenMs)
  const name = `${clients} clients`
  return {
    [`${name}: requests`]: requests,
    [`${name}: failed`]: seen.failed,
    ...(seen.failed > 0 ? { [`${name}: last failure`]: seen.lastFailure } : {}),
    [`${name}: out tokens/s`]: Math.round(seen.tokens / seconds),
    [`${name}: ms to the first token, p50`]: first.p50,
    [`${name}: ms to the first token, p99`]: first.p99,
    [`${name}: ms between events, p50`]: between.p50,
    [`${name}: ms between events, p99`]: between.p99,
    [`${name}: server's cores`]: Number(((cpuSeconds(pid) - cpuBefore) / seconds).toFixed(2)),
  }
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const clients = small ? 4 : 256
  const server = await startSluice({ env: settings(clients), readyMsMax })
  try {
    const begun = await crowd(server, clients, clients)
    const alone = await crowd(server, 1, small ? 1 : 4)
    const many = await crowd(server, clients, 4 * clients)
    return {
      model: folder,
      engine: /engine[^\n]*/.exec(server.stdout())?.[0] ?? "",
      ...(Number(begun[`${clients} clients: failed`]) > 0 ? begun : {}),
      ...alone,
      ...many,
    }
  } finally {
    await server.stop()
  }
}
