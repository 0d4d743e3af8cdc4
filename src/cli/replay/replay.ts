// `sluice replay`: looks through the trace, asks the target what it is, makes the load in processes
// of their own, and reports. Everything that can be wrong is found before the first send.
import { writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import type { ConfigShape } from "../../config/Config.ts"
import type { PlanOptions } from "../../replay/plan/Plan.ts"
import type { ReportData } from "../../replay/report/Report.ts"
import { reportHtml } from "../../replay/report/html.ts"
import { tableLines } from "../../replay/report/table.ts"
import { reportJson } from "../../replay/report/vllmJson.ts"
import {
  type GivenFlags,
  loadText,
  type ReplayOptions,
  replayOptions,
} from "../../replay/ReplayOptions.ts"
import type { RunOptions, TargetOptions } from "../../replay/run.ts"
import { type Survey, surveyTrace } from "../../replay/trace/survey.ts"
import { TraceError } from "../../replay/trace/Trace.ts"
import { logFacts } from "./logFacts.ts"
import { onStopSignal } from "../signals.ts"
import type { Output } from "../topics.ts"
import { compareCommand } from "./compare.ts"
import { runGenerators, type RunResult } from "./generators.ts"
import { askTarget, placeOf, type TargetFacts } from "./preflight.ts"
import { ProgressLine } from "./ProgressLine.ts"
import { Scraper } from "./Scraper.ts"

/** One process keeps its send times up to about so many requests a second. */
const perProcess = 4000

/** Of a trace: what it must be looked through for before it is sent. */
const surveyOf = (
  { source, arrivals }: ReplayOptions,
  searches: boolean,
): Survey | null | string => {
  if (source.kind !== "file") return null
  const survey = surveyTrace(source.file, source.format)
  if (survey instanceof TraceError) return survey.message
  if (!survey.hasTimes && !searches && arrivals.kind === "trace") {
    return `${source.file} has no times of arrival: give --rate, or --speed max`
  }
  return survey
}

const rateOf = ({ arrivals }: ReplayOptions, survey: Survey | null): number => {
  if (arrivals.kind === "closed") return 0
  if (arrivals.kind !== "trace") return arrivals.perSecond
  const seconds = Math.max(1, survey?.spanMs ?? 0) / 1000 / arrivals.speed
  return (survey?.requests ?? 0) / seconds
}

const processesOf = (options: ReplayOptions, survey: Survey | null): number => {
  const needed = Math.ceil(rateOf(options, survey) / perProcess)
  return options.processes ?? Math.max(1, Math.min(needed, availableParallelism() - 1))
}

const planOf = (options: ReplayOptions, facts: TargetFacts): PlanOptions => {
  const { warmUpMs, durationMs, scale, outputTokensMax, endpoint, stream, plain, verify } = options
  return {
    source: options.source,
    arrivals: options.arrivals,
    seed: options.seed,
    durationMs: durationMs === null ? null : durationMs + warmUpMs,
    requestsMax: options.requestsMax,
    repeat: options.repeat,
    fit: { scale, outputTokensMax, contextTokensMax: facts.contextTokensMax },
    material: { ids: options.ids, tokensPerWord: facts.tokensPerWord, seed: options.seed },
    body: { endpoint, stream, plain, model: facts.model, tokenIds: verify, temperature: 0 },
    share: { index: 0, of: 1 },
  }
}

/** Not a server's address: the log of the configuration. */
const isLog = ({ target }: ReplayOptions) => target === "log" || target === "kafka"

const targetOf = (options: ReplayOptions, config: ConfigShape): TargetOptions => {
  if (isLog(options)) return { kind: "log", config, deadlineMs: options.timeoutMs }
  const { base, headers } = placeOf(options)
  const { stream, stallMs, timeoutMs } = options
  return { kind: "http", http: { url: base, headers, stream, stallMs, timeoutMs } }
}

export interface Prepared {
  readonly options: ReplayOptions
  readonly config: ConfigShape
  readonly facts: TargetFacts
  readonly processes: number
}

/** One run of load from its start to its report. */
export const runOnce = async (
  { options, config, facts, processes }: Prepared,
  output: Output,
): Promise<ReportData> => {
  const { concurrency, warmUpMs, timeoutMs, objectives, lateMs, verify } = options
  const share = concurrency === null ? null : Math.max(1, Math.floor(concurrency / processes))
  const run: RunOptions = {
    plan: planOf(options, facts),
    generator: { concurrency: share, warmUpMs, timeoutMs },
    objectives,
    lateMs,
    target: targetOf(options, config),
    verify,
  }
  const line = new ProgressLine(output.err, process.stderr.isTTY)
  const scraper = new Scraper(options.scrape)
  let startedAt = ""
  const running = runGenerators(run, processes, {
    onStart: (atMs) => {
      startedAt = new Date(atMs + warmUpMs).toISOString()
      scraper.start(atMs + warmUpMs)
    },
    onProgress: (progress) => line.show(progress),
  })
  let stopped = false
  const unwatch = onStopSignal(
    () => {
      stopped = true
      running.stop()
    },
    output.err,
    "ending the run; what has been measured is reported",
  )
  const result = await running.result
  unwatch()
  line.end()
  return reportOf({ options, config, facts, processes }, result, {
    startedAt,
    stopped,
    scraped: scraper.stop(),
  })
}

const reportOf = (
  { options, facts, processes }: Prepared,
  result: RunResult,
  ran: Pick<ReportData, "startedAt" | "stopped" | "scraped">,
): ReportData => ({
  version: 1,
  name: options.name ?? options.target,
  target: options.target,
  model: facts.model,
  load: loadText(options),
  objectives: options.objectives,
  lateMs: options.lateMs,
  durationMs: result.lastEndMs,
  processes,
  notes: [...facts.notes, ...result.faults],
  tally: result.tally,
  verify: result.verify,
  ...ran,
})

/** A sentence where the trace or the target is not to be had. */
const prepare = async (
  options: ReplayOptions,
  config: ConfigShape,
  searches: boolean,
): Promise<Prepared | string> => {
  const survey = surveyOf(options, searches)
  if (typeof survey === "string") return survey
  const synthesised =
    options.source.kind === "lengths" ||
    ["mooncake", "azure", "burstgpt"].includes(survey?.format ?? "")
  if (isLog(options)) {
    const processes = processesOf(options, survey)
    const known = await logFacts(config, options)
    return typeof known === "string" ? known : { config, processes, ...known }
  }
  const facts = await askTarget(options, synthesised && options.ids === null).catch(
    (error: unknown) => `${options.target} cannot be reached: ${reasonOf(error)}`,
  )
  if (typeof facts === "string") return facts
  return { options, config, facts, processes: processesOf(options, survey) }
}

const reasonOf = (error: unknown): string => {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return inner instanceof Error ? inner.message : String(inner)
}

/** Fails a script where tokens differ, or where nothing was answered at all. */
const exitCode = ({ verify, tally }: ReportData): number => {
  if (verify !== null && verify.equal < verify.compared) return 1
  const answered = tally.timeline.bins.some(({ count }) => count.answered > 0)
  return answered ? 0 : 1
}

/** Resolves to the exit code. */
export const replayCommand = async (
  config: ConfigShape,
  given: GivenFlags,
  output: Output,
): Promise<number> => {
  if (given.action === "compare") return compareCommand(given, output)
  const options = replayOptions(given)
  if (typeof options === "string") {
    output.err(`sluice replay: ${options}\nAll flags: sluice replay --help`)
    return 2
  }
  const prepared = await prepare(options, config, given.action === "find-rate")
  if (typeof prepared === "string") {
    output.err(`sluice: ${prepared}`)
    return 1
  }
  if (given.action === "find-rate") {
    const { findRate } = await import("./findRate.ts")
    return findRate(prepared, output)
  }
  const report = await runOnce(prepared, output)
  tableLines(report).forEach(output.out)
  if (options.json !== null) writeFileSync(options.json, reportJson(report))
  if (options.html !== null) writeFileSync(options.html, reportHtml(report))
  return exitCode(report)
}
