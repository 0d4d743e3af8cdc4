// What clients that read 1 KB/s do to the others: the same streams with and without them, one after
// the other in one run. Their sockets fill up, their streams pause, and nobody else may notice.
import { connect, type Socket } from "node:net"
import { startSluice } from "../support/server.ts"
import { makeLoad, type LoadResult } from "./load.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const bytesPerSecond = 1024
const outputTokens = 200

const settings = {
  SLUICE_LOG_LEVEL: "error",
  SLUICE_ENGINE: "scripted",
  SLUICE_WORKER_SEQUENCES_MAX: "4096",
  SLUICE_WORKER_BATCH_TOKENS_MAX: "8192",
  SLUICE_SCRIPTED_TOKENS_PER_SECOND: "100",
  SLUICE_RATE_REQUESTS_PER_SECOND: "1000000",
  SLUICE_RATE_BURST: "1000000",
}

const bodyOf = (maxTokens: number) =>
  JSON.stringify({
    model: "tales-11m",
    prompt: "The old fox and the red hen sat by a big tree",
    max_tokens: maxTokens,
    ignore_eos: true,
    stream: true,
  })

/** Asks for a long stream and reads it far more slowly than it comes. */
const slowClient = (port: number): Socket => {
  const body = bodyOf(1500)
  const socket = connect({ host: "127.0.0.1", port })
  socket.on("error", () => {})
  socket.write(
    "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n" +
      `content-length: ${body.length}\r\n\r\n${body}`,
  )
  const timer = setInterval(() => socket.read(bytesPerSecond), 1000)
  socket.on("close", () => clearInterval(timer))
  return socket
}

const measure = (port: number, rate: number, seconds: number): Promise<LoadResult> =>
  makeLoad({
    host: "127.0.0.1",
    port,
    requestsPerSecond: rate,
    seconds,
    warmSeconds: 2,
    connections: rate * 3,
    body: () => bodyOf(outputTokens),
    stream: true,
    checkEvery: 20,
    check: (answer) => answer.includes("[DONE]"),
  })

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const clients = small ? 5 : 50
  const rate = small ? 10 : 100
  const seconds = small ? 3 : 12
  const server = await startSluice({ env: settings })
  try {
    await measure(server.port, rate, 3)
    const alone = await measure(server.port, rate, seconds)
    const slow = Array.from({ length: clients }, () => slowClient(server.port))
    const beside = await measure(server.port, rate, seconds)
    for (const socket of slow) socket.destroy()
    const ratio = (of: (result: LoadResult) => number) =>
      Math.round((of(beside) / of(alone)) * 1000) / 1000
    return {
      slowClients: clients,
      requestsPerSecond: rate,
      failed: alone.failed + beside.failed + alone.wrong + beside.wrong,
      "alone.firstP99Ms": alone.firstMs.p99,
      "beside.firstP99Ms": beside.firstMs.p99,
      "alone.totalP99Ms": alone.totalMs.p99,
      "beside.totalP99Ms": beside.totalMs.p99,
      firstP99Ratio: ratio(({ firstMs }) => firstMs.p99),
      totalP99Ratio: ratio(({ totalMs }) => totalMs.p99),
    }
  } finally {
    await server.stop()
  }
}
