// What `sluice replay` itself costs and errs, against a stub that answers at once or after a fixed
// time: how late it sends at 5,000 requests/s from one process on one core, how far its time to the
// first token is from the stub's own, and its memory over a million requests.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { parseReport, type ReportData, tallyOf } from "../../src/replay/report/Report.ts"
import { startStub } from "../support/replay/stubProcess.ts"
import { projectRoot } from "../support/shared.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const main = join(projectRoot, "src", "cli", "main.ts")

/** The generator on the last core, the stub on the one before it, where cores can be chosen. */
const onCore = (fromLast: number): ReadonlyArray<string> =>
  existsSync("/usr/bin/taskset")
    ? ["/usr/bin/taskset", "-c", String(availableParallelism() - 1 - fromLast)]
    : []

const childrenOf = (pid: number): ReadonlyArray<number> =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number)

const residentMiB = (pid: number): number => {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0"
  return Number(kib) / 1024
}

/** Of the generator process, each half second; empty where there is no /proc. */
const watchMemory = (child: ChildProcess) => {
  const seen: Array<number> = []
  const look = () => {
    if (child.pid === undefined || !existsSync(`/proc/${child.pid}`)) return
    const [generator] = childrenOf(child.pid)
    if (generator !== undefined && existsSync(`/proc/${generator}`)) {
      seen.push(residentMiB(generator))
    }
  }
  const timer = setInterval(look, 500)
  child.once("exit", () => clearInterval(timer))
  return seen
}

const replay = async (args: ReadonlyArray<string>) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"))
  const json = join(folder, "report.json")
  const flags = [...args, "--processes", "1", "--json", json]
  const [command = "", ...rest] = [...onCore(0), process.execPath, main, "replay", ...flags]
  const child = spawn(command, rest, { stdio: ["ignore", "ignore", "inherit"] })
  const memory = watchMemory(child)
  await once(child, "exit")
  const report = parseReport(readFileSync(json, "utf8"))
  rmSync(folder, { recursive: true })
  if (report === null) throw new Error("no report")
  return { report, memory }
}

const totalOf = (report: ReportData) => tallyOf(report).timeline.total()

const round = (value: number) => Math.round(value * 1000) / 1000

const openLoop = async (seconds: number): Promise<BenchResult> => {
  const stub = await startStub({ delayMs: 20, gapMs: 0, pieces: 4 }, onCore(1))
  const load = ["--lengths", "32:4", "--rate", "uniform:5000", "--duration", `${seconds}s`]
  const { report } = await replay([
    ...load,
    "--warmup",
    "2s",
    "--late",
    "2ms",
    "--target",
    stub.url,
  ])
  const own = await stub.end()
  const { count, latency } = totalOf(report)
  const seenMean = latency.ttft.mean - latency.sendDelay.mean
  return {
    openLoopDue: count.due,
    openLoopAnswered: count.answered,
    openLoopPerSecond: round(count.answered / (report.durationMs / 1000)),
    sendDelayMsP50: round(latency.sendDelay.quantile(0.5)),
    sendDelayMsP99: round(latency.sendDelay.quantile(0.99)),
    sendDelayMsMax: round(latency.sendDelay.max),
    lateBy2Ms: count.late,
    ttftMsMeanFromSend: round(seenMean),
    ttftMsMeanOfStub: round(own.mean),
    ttftMsMeanDifference: round(seenMean - own.mean),
    ttftMsP50FromDue: round(latency.ttft.quantile(0.5)),
    ttftMsP50OfStub: round(own.p50),
  }
}

const manyRequests = async (requests: number): Promise<BenchResult> => {
  const stub = await startStub({ delayMs: 0, gapMs: 0, pieces: 4 }, onCore(1))
  const load = ["--lengths", "32:4", "--speed", "max", "--concurrency", "64"]
  const { report, memory } = await replay([
    ...load,
    "--requests",
    String(requests),
    "--target",
    stub.url,
  ])
  await stub.end()
  const quarter = Math.max(1, Math.floor(memory.length / 4))
  const most = (from: number) => round(Math.max(0, ...memory.slice(from, from + quarter)))
  return {
    manyAnswered: totalOf(report).count.answered,
    manyPerSecond: round(requests / (report.durationMs / 1000)),
    memoryMiBFirstQuarter: most(0),
    memoryMiBLastQuarter: most(memory.length - quarter),
  }
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => ({
  ...(await openLoop(small ? 2 : 20)),
  ...(await manyRequests(small ? 5000 : 1_000_000)),
})
