// Several rigs side by side, each a process of its own with its processes, its log and its history:
// what one machine has room for. Their reports are added up to one.
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { addPauses } from "./recovery.ts"
import type { TortureReport } from "./torture.ts"

/** What one of them is told, as JSON in its first argument. */
export interface RigOrder {
  readonly log: string
  readonly seed: number
  readonly kills: number
  readonly streams: number
  readonly tokens: number
  readonly historyFile: string
}

export type RigMessage = { readonly kills: number } | { readonly report: TortureReport }

const child = fileURLToPath(new URL("./rigChild.ts", import.meta.url))

const isReport = (message: unknown): message is { readonly report: TortureReport } =>
  typeof message === "object" && message !== null && "report" in message

const runRig = (order: RigOrder, onKill: () => void): Promise<TortureReport> =>
  new Promise((resolve, reject) => {
    const running: ChildProcess = fork(child, [JSON.stringify(order)], { execArgv: [] })
    let report: TortureReport | null = null
    running.on("message", (message: unknown) => {
      if (isReport(message)) report = message.report
      else onKill()
    })
    running.once("error", reject)
    running.once("close", (code) => {
      if (report !== null) resolve(report)
      else reject(new Error(`the rig with seed ${order.seed} ended with ${code}`))
    })
  })

const addCounts = (
  all: ReadonlyArray<Readonly<Record<string, number>>>,
): Readonly<Record<string, number>> => {
  const sum: Record<string, number> = {}
  for (const counts of all) {
    for (const [what, count] of Object.entries(counts)) sum[what] = (sum[what] ?? 0) + count
  }
  return sum
}

export const addReports = (log: string, reports: ReadonlyArray<TortureReport>): TortureReport => {
  const total = (of: (report: TortureReport) => number) =>
    reports.reduce((sum, report) => sum + of(report), 0)
  return {
    log,
    seeds: reports.flatMap(({ seeds }) => seeds),
    kills: total(({ kills }) => kills),
    faults: addCounts(reports.map(({ faults }) => faults)),
    requests: total(({ requests }) => requests),
    events: total(({ events }) => events),
    breaks: total(({ breaks }) => breaks),
    outcomes: addCounts(reports.map(({ outcomes }) => outcomes)),
    adopted: total(({ adopted }) => adopted),
    refused: addCounts(reports.map(({ refused }) => refused)),
    violations: reports.flatMap(({ seeds, violations }) =>
      violations.map((text) => `seed ${seeds.join()}: ${text}`),
    ),
    pauses: addPauses(reports.map(({ pauses }) => pauses)),
    tookSeconds: Math.max(...reports.map(({ tookSeconds }) => tookSeconds)),
  }
}

/** All of them at once. */
export const runRigs = async (
  orders: ReadonlyArray<RigOrder>,
  onKill: (kills: number) => void,
): Promise<TortureReport> => {
  let kills = 0
  const reports = await Promise.all(orders.map((order) => runRig(order, () => onKill(++kills))))
  return addReports(orders[0]?.log ?? "", reports)
}
