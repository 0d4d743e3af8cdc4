// Two runs side by side: each figure of both, the difference, and the interval in which it lies.
// A difference whose interval holds 0 is not one, and is said not to be.
import type { Bin, Latency } from "../measure/Timeline.ts"
import { intervalOfDifference, joined, type Statistic } from "./bootstrap.ts"
import { distributions } from "./figures.ts"
import { htmlPage, htmlTable } from "./html.ts"
import { escapeXml } from "./plot.ts"
import { type ReportData, tallyOf } from "./Report.ts"
import { showMs, showNumber } from "./summary.ts"

interface Figure {
  readonly name: string
  readonly statistic: Statistic
  readonly show: (value: number) => string
  /** Of latencies and failures less is better; of rates more. */
  readonly less: boolean
}

const latencyNames: ReadonlyArray<readonly [Latency, string]> = [
  ["ttft", "first token"],
  ["tpot", "per output token"],
  ["e2e", "end to end"],
]

const sum = (bins: ReadonlyArray<Bin>, of: (bin: Bin) => number) =>
  bins.reduce((total, bin) => total + of(bin), 0)

const shareOf =
  (of: (bin: Bin) => number): Statistic =>
  (bins) =>
    (100 * sum(bins, of)) /
    Math.max(
      1,
      sum(bins, ({ count }) => count.due),
    )

const percent = (value: number) => `${value.toFixed(2)} %`

const figuresOf = (widthMs: number): ReadonlyArray<Figure> => {
  const perSecond =
    (of: (bin: Bin) => number): Statistic =>
    (bins) =>
      sum(bins, of) / ((Math.max(1, bins.length) * widthMs) / 1000)
  return [
    ...latencyNames.flatMap(([latency, name]) =>
      [0.5, 0.9, 0.99].map((share) => ({
        name: `${name}, p${share * 100}`,
        statistic: (bins: ReadonlyArray<Bin>) =>
          joined(bins, (bin) => bin.latency[latency]).quantile(share),
        show: showMs,
        less: true,
      })),
    ),
    {
      name: "answered a second",
      statistic: perSecond(({ count }) => count.answered),
      show: showNumber,
      less: false,
    },
    {
      name: "output tokens a second",
      statistic: perSecond(({ count }) => count.outputTokens),
      show: showNumber,
      less: false,
    },
    {
      name: "within objectives",
      statistic: shareOf(({ count }) => count.good),
      show: percent,
      less: false,
    },
    { name: "failed", statistic: shareOf(({ count }) => count.failed), show: percent, less: true },
    { name: "sent late", statistic: shareOf(({ count }) => count.late), show: percent, less: true },
  ]
}

export interface ComparedRow {
  readonly name: string
  readonly a: string
  readonly b: string
  readonly difference: string
  readonly interval: string
  readonly verdict: "better" | "worse" | "no difference" | "too short to say"
}

const signed = (value: number, show: (value: number) => string) =>
  `${value < 0 ? "-" : "+"}${show(Math.abs(value))}`

/** Both in bins of one width, so that rates of the two mean the same. */
const binsOf = (a: ReportData, b: ReportData) => {
  const [one, two] = [tallyOf(a).timeline, tallyOf(b).timeline]
  const widthMs = Math.max(one.widthMs, two.widthMs)
  return { a: one.widened(widthMs).bins, b: two.widened(widthMs).bins, widthMs }
}

export const compareReports = (a: ReportData, b: ReportData): ReadonlyArray<ComparedRow> => {
  const bins = binsOf(a, b)
  return figuresOf(bins.widthMs).map(({ name, statistic, show, less }) => {
    const [first, second] = [statistic(bins.a), statistic(bins.b)]
    const interval = intervalOfDifference(bins.a, bins.b, statistic)
    const holdsNothing = interval === null || (interval.low <= 0 && interval.high >= 0)
    const isLess = second < first
    return {
      name,
      a: show(first),
      b: show(second),
      difference: signed(second - first, show),
      interval:
        interval === null ? "" : `${signed(interval.low, show)} to ${signed(interval.high, show)}`,
      verdict:
        interval === null
          ? "too short to say"
          : holdsNothing
            ? "no difference"
            : isLess === less
              ? "better"
              : "worse",
    }
  })
}

/** A file's words must not move the terminal's cursor. */
const line = (text: string) => JSON.stringify(text).slice(1, -1)

const heads = ["", "A", "B", "B less A", "95 % of it", ""]

const cellsOf = ({ name, a, b, difference, interval, verdict }: ComparedRow) => [
  name,
  a,
  b,
  difference,
  interval,
  verdict,
]

export const compareLines = (a: ReportData, b: ReportData): ReadonlyArray<string> => {
  const rows = [heads, ...compareReports(a, b).map(cellsOf)]
  const widths = heads.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)))
  return [
    line(`A: ${a.name}; ${a.load}`),
    line(`B: ${b.name}; ${b.load}`),
    ...(a.load === b.load ? [] : ["Note: the loads differ, so what differs may be the load's."]),
    "",
    ...rows.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    ),
  ]
}

export const compareHtml = (a: ReportData, b: ReportData): string => {
  const title = `${a.name} and ${b.name}`
  const named = [
    { label: `A: ${a.name}`, report: a },
    { label: `B: ${b.name}`, report: b },
  ]
  const about = named.map(
    ({ label, report }) => `<p class="soft">${escapeXml(`${label}; ${report.load}`)}</p>`,
  )
  const rows = [heads, ...compareReports(a, b).map(cellsOf)]
  return htmlPage(
    title,
    `<h1>${escapeXml(title)}</h1>${about.join("")}${htmlTable(rows)}` +
      `<h2>Distributions</h2><div class="plots">${distributions(named).join("")}</div>`,
  )
}
