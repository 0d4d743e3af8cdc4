// Many seeds, shared out over processes: each takes every nth, so that a failing seed is found in
// the order of seeds, near enough, and the counts of all are added up.
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Verdict } from "./simulate.ts"

export interface SeedRange {
  readonly from: number
  readonly count: number
  readonly step: number
  /** The name of a mutation (mutations.ts); null: the product as it is. */
  readonly mutation: string | null
  /** No seed after the first that fails. */
  readonly stopsAtFailure: boolean
}

export interface SeedReport {
  readonly seeds: number
  readonly failures: ReadonlyArray<Verdict>
  readonly counts: Readonly<Record<string, number>>
  readonly simulatedMs: number
}

export type SeedMessage = { readonly done: number } | { readonly report: SeedReport }

const child = fileURLToPath(new URL("./seedsChild.ts", import.meta.url))

const isReport = (message: unknown): message is { readonly report: SeedReport } =>
  typeof message === "object" && message !== null && "report" in message

const runRange = (range: SeedRange, onDone: (seeds: number) => void): Promise<SeedReport> =>
  new Promise((resolve, reject) => {
    const running: ChildProcess = fork(child, [JSON.stringify(range)], { execArgv: [] })
    let report: SeedReport | null = null
    running.on("message", (message: unknown) => {
      if (isReport(message)) report = message.report
      else onDone(1)
    })
    running.once("error", reject)
    // Its last message may come after its exit, but not after the channel's end.
    running.once("close", (code) => {
      if (report !== null) resolve(report)
      else reject(new Error(`a process of the simulation ended with ${code}`))
    })
  })

const added = (
  into: Record<string, number>,
  counts: Readonly<Record<string, number>>,
): Record<string, number> => {
  for (const [what, count] of Object.entries(counts)) into[what] = (into[what] ?? 0) + count
  return into
}

const nothing: SeedReport = { seeds: 0, failures: [], counts: {}, simulatedMs: 0 }

export interface RunOptions {
  readonly from: number
  readonly count: number
  readonly processes: number
  readonly mutation?: string
  readonly stopsAtFailure?: boolean
  readonly onProgress?: (done: number) => void
}

export const runSeeds = async (options: RunOptions): Promise<SeedReport> => {
  const { from, count, processes, mutation = null, stopsAtFailure = false } = options
  let done = 0
  const onDone = (seeds: number) => {
    done += seeds
    options.onProgress?.(done)
  }
  const ranges = Array.from({ length: Math.min(processes, count) }, (_, i) => ({
    from: from + i,
    count: Math.ceil((count - i) / processes),
    step: processes,
    mutation,
    stopsAtFailure,
  }))
  const reports = await Promise.all(ranges.map((range) => runRange(range, onDone)))
  return reports.reduce(
    (sum, report) => ({
      seeds: sum.seeds + report.seeds,
      failures: [...sum.failures, ...report.failures].toSorted((a, b) => a.seed - b.seed),
      counts: added({ ...sum.counts }, report.counts),
      simulatedMs: sum.simulatedMs + report.simulatedMs,
    }),
    nothing,
  )
}
