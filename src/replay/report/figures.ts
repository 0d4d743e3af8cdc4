// Which plots a report has: distributions, then the same over time, then what was sent and what
// went wrong, then what the target says of itself.
import type { Histogram } from "../measure/Histogram.ts"
import type { Bin, Latency } from "../measure/Timeline.ts"
import { type Line, linePlot, type PlotOptions } from "./plot.ts"
import { type ReportData, tallyOf } from "./Report.ts"
import { showMs, showNumber } from "./summary.ts"

/** A report under the name that its lines have. */
export interface Named {
  readonly label: string
  readonly report: ReportData
}

const axisMs = (ms: number) =>
  ms >= 1000 ? `${Number((ms / 1000).toPrecision(3))} s` : `${Number(ms.toPrecision(3))} ms`
const axisSeconds = (seconds: number) => `${Number(seconds.toPrecision(4))}`
const axisNumber = (value: number) =>
  value >= 1000 ? showNumber(value) : String(Number(value.toPrecision(3)))
const axisShare = (share: number) => `${Math.round(share * 100)} %`

const seconds = "seconds since the start"

const titles: Readonly<Record<Latency, string>> = {
  ttft: "Time to first token",
  itl: "Between pieces of an answer",
  tpot: "Time per output token after the first",
  e2e: "End to end",
  sendDelay: "Send after due",
}

const goalOf = ({ objectives }: ReportData, latency: Latency): number | null =>
  latency === "ttft"
    ? objectives.ttftMs
    : latency === "tpot"
      ? objectives.itlMs
      : latency === "e2e"
        ? objectives.e2eMs
        : null

const pointsMax = 200

/** As many of its points as a plot can show. */
const thinned = (histogram: Histogram): Line["points"] => {
  const points = histogram.cdf()
  const every = Math.ceil(points.length / pointsMax)
  return points.filter((_, i) => i % every === 0 || i === points.length - 1)
}

const cdf = (reports: ReadonlyArray<Named>, latency: Latency): string =>
  linePlot({
    title: `${titles[latency]}: share of all`,
    lines: reports.map(({ label, report }) => ({
      name: label,
      points: thinned(tallyOf(report).timeline.total().latency[latency]),
    })),
    xLabel: "",
    showX: axisMs,
    showY: axisShare,
    logX: true,
    yMax: 1,
    markX: reports[0] === undefined ? null : goalOf(reports[0].report, latency),
  })

const overTime = (report: ReportData, value: (bin: Bin, seconds: number) => number | null) => {
  const { bins, widthMs } = tallyOf(report).timeline
  return bins.map((bin, i) => [(i * widthMs) / 1000, value(bin, widthMs / 1000)] as const)
}

const shares = [0.5, 0.9, 0.99] as const

const latencyOverTime = (report: ReportData, latency: Latency): string =>
  linePlot({
    title: `${titles[latency]} over time, by when requests were due`,
    lines: shares.map((share) => ({
      name: `p${share * 100}`,
      points: overTime(report, ({ latency: own }) =>
        own[latency].count === 0 ? null : own[latency].quantile(share),
      ),
    })),
    xLabel: seconds,
    showX: axisSeconds,
    showY: axisMs,
    markY: goalOf(report, latency),
  })

const counted = (title: string, lines: ReadonlyArray<Line>): string => {
  const options: PlotOptions = {
    title,
    lines,
    xLabel: seconds,
    showX: axisSeconds,
    showY: axisNumber,
  }
  return linePlot(options)
}

const steps = (name: string, points: Line["points"]): Line => ({ name, points, steps: true })

const rates = (report: ReportData): ReadonlyArray<string> => [
  counted("Requests a second, by when they were due", [
    steps(
      "due",
      overTime(report, ({ count }, width) => count.due / width),
    ),
    steps(
      "answered",
      overTime(report, ({ count }, width) => count.answered / width),
    ),
    steps(
      "within objectives",
      overTime(report, ({ count }, width) => count.good / width),
    ),
  ]),
  counted("Output tokens a second, by when their answers ended", [
    steps(
      "tokens",
      overTime(report, ({ count }, width) => count.outputTokens / width),
    ),
  ]),
  counted("In flight at most", [
    steps(
      "requests",
      overTime(report, (bin) => bin.inFlightMax),
    ),
  ]),
  counted("Late sends and failures", [
    steps(
      "late",
      overTime(report, ({ count }) => count.late),
    ),
    steps(
      "failed",
      overTime(report, ({ count }) => count.failed),
    ),
  ]),
]

const scraped = ({ scraped: all }: ReportData): ReadonlyArray<string> =>
  all.map(({ name, points }) =>
    counted(`${name} (the target's own)`, [
      { name, points: points.map(([atMs, value]) => [atMs / 1000, value]) },
    ]),
  )

const hasSamples = (reports: ReadonlyArray<Named>) => (latency: Latency) =>
  reports.some(({ report }) => tallyOf(report).timeline.total().latency[latency].count > 0)

export const distributions = (reports: ReadonlyArray<Named>): ReadonlyArray<string> =>
  (["ttft", "tpot", "itl", "e2e"] as const)
    .filter(hasSamples(reports))
    .map((latency) => cdf(reports, latency))

export const figures = (report: ReportData): ReadonlyArray<string> => {
  const one = [{ label: showMs(report.durationMs), report }]
  const latencies = (["ttft", "itl", "e2e", "sendDelay"] as const).filter(hasSamples(one))
  return [
    ...distributions(one),
    ...latencies.map((latency) => latencyOverTime(report, latency)),
    ...rates(report),
    ...scraped(report),
  ]
}
