// `sluice replay find-rate`: the highest rate at which a target keeps its objectives. Each probe is
// a run of its own, with arrivals and prompts of its own, after the last one's answers have ended.
import { writeFileSync } from "node:fs"
import type { ReportData } from "../../replay/report/Report.ts"
import { summarise } from "../../replay/report/summary.ts"
import { reportJson } from "../../replay/report/vllmJson.ts"
import { hasObjectives, objectivesText } from "../../replay/report/words.ts"
import type { ReplayOptions } from "../../replay/ReplayOptions.ts"
import {
  afterProbe,
  requestsNeeded,
  type SearchState,
  shareInterval,
  startSearch,
} from "../../replay/search/rateSearch.ts"
import type { Output } from "../topics.ts"
import { type Prepared, runOnce } from "./replay.ts"

const probeMsUsual = 10_000
const percent = (share: number) => `${(100 * share).toFixed(1)} %`

/** Sends that are this much late are the generator's fault, and a probe of them says nothing. */
const lateShareMax = 0.05

/** Long enough for as many requests as a verdict needs. */
const probeOf = (prepared: Prepared, state: SearchState, perSecond: number): Prepared => {
  const { options } = prepared
  const needed = (1.2 * requestsNeeded(options.attain) * 1000) / perSecond
  const durationMs = Math.max(options.durationMs ?? probeMsUsual, needed)
  const seed = options.seed + state.probes.length
  const probe: ReplayOptions = {
    ...options,
    arrivals: { kind: "poisson", perSecond },
    durationMs,
    seed,
    repeat: true,
  }
  return { ...prepared, options: probe }
}

const probeLine = (perSecond: number, report: ReportData): string => {
  const { count } = summarise(report).total
  const [low, high] = shareInterval(count.good, count.due)
  const late = count.late / Math.max(1, count.due)
  return (
    `${perSecond.toFixed(2)} requests/s: ${count.good} of ${count.due} within objectives, ` +
    `${percent(low)} to ${percent(high)}` +
    (late > lateShareMax ? `; ${percent(late)} were sent late: this machine is too slow` : "")
  )
}

/** Resolves to the exit code. */
export const findRate = async (prepared: Prepared, output: Output): Promise<number> => {
  const { options } = prepared
  if (!hasObjectives(options.objectives)) {
    output.err("sluice replay find-rate needs objectives, such as --slo ttft=200ms,itl=50ms")
    return 2
  }
  const startPerSecond = options.arrivals.kind === "poisson" ? options.arrivals.perSecond : 1
  let state = startSearch({ startPerSecond, goal: options.attain, withinShare: 0.05 })
  let best: ReportData | null = null
  while (state.next !== null) {
    const perSecond = state.next
    const report = await runOnce(probeOf(prepared, state, perSecond), output)
    output.err(probeLine(perSecond, report))
    if (report.stopped) break
    const { due, good } = summarise(report).total.count
    state = afterProbe(state, { perSecond, due, good })
    if (state.holds === perSecond) best = report
  }
  const objectives = objectivesText(options.objectives)
  const goals = `${percent(options.attain)} of requests within ${objectives}`
  if (state.holds === 0) output.out(`No rate was found that holds ${goals}.`)
  else {
    const above = state.fails === null ? "" : `; ${state.fails.toFixed(2)} does not`
    output.out(`${state.holds.toFixed(2)} requests/s hold ${goals}${above}.`)
  }
  if (options.json !== null && best !== null) writeFileSync(options.json, reportJson(best))
  return state.holds === 0 ? 1 : 0
}
