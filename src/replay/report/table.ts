// A report for a terminal: what was sent, what came back, how long it took, what went wrong.
import type { ReportData } from "./Report.ts"
import {
  latencyRows,
  quantileName,
  quantileShares,
  showMs,
  showNumber,
  summarise,
} from "./summary.ts"
import { hasObjectives, objectivesText } from "./words.ts"

const nameWidth = 24
const cellWidth = 10

const row = (name: string, cells: ReadonlyArray<string>) =>
  (name.padEnd(nameWidth) + cells.map((cell) => cell.padStart(cellWidth)).join("")).trimEnd()

const field = (name: string, text: string) => `${name.padEnd(nameWidth)}${text}`

/** A foreign server's words must not move the terminal's cursor. */
const line = (text: string) => JSON.stringify(text).slice(1, -1)

const verifyLines = ({ verify }: ReportData): ReadonlyArray<string> => {
  if (verify === null) return []
  const { compared, equal, skipped, failed, divergences } = verify
  return [
    "",
    field(
      "Compared",
      `${compared}, equal ${equal}, nothing to compare ${skipped}, failed ${failed}`,
    ),
    ...divergences.map(
      ({ id, choice, position, unit, expected, found }) =>
        `  ${line(id)} choice ${choice} differs at ${unit} ${position}: ` +
        `recorded ${line(expected)}, now ${line(found)}`,
    ),
  ]
}

export const tableLines = (report: ReportData): ReadonlyArray<string> => {
  const summary = summarise(report)
  const { total } = summary
  const { tally } = report
  const failures = Object.entries(tally.failures).sort(([, a], [, b]) => b.count - a.count)
  const { answered, failed, late, good } = total.count
  const goals = objectivesText(report.objectives)
  const share = ((100 * late) / Math.max(1, summary.requests)).toFixed(2)
  return [
    field(
      "Target",
      `${report.target}${report.model === "" ? "" : `, model ${line(report.model)}`}`,
    ),
    field("Load", report.load),
    field(
      "Took",
      `${showMs(report.durationMs)}${report.stopped ? ", stopped before its end" : ""}`,
    ),
    field(
      "Requests",
      `${summary.requests} (${showNumber(summary.duePerSecond)}/s): ` +
        `${answered} answered, ${failed} failed`,
    ),
    field("Late sends", `${late} (${share} %) more than ${report.lateMs} ms after they were due`),
    field(
      "Throughput",
      `${showNumber(summary.requestsPerSecond)} requests/s, ` +
        `${showNumber(summary.outputTokensPerSecond)} output tokens/s, ` +
        `${showNumber(summary.promptTokensPerSecond)} prompt tokens/s`,
    ),
    ...(hasObjectives(report.objectives)
      ? [
          field(
            "Goodput",
            `${showNumber(summary.goodPerSecond)} requests/s; ${good} of ${summary.requests} ` +
              `(${(100 * summary.goodShare).toFixed(2)} %) within ${goals}`,
          ),
        ]
      : []),
    field("In flight at most", String(summary.inFlightMax)),
    ...(tally.clipped > 0 ? [field("Cut to fit", `${tally.clipped} requests`)] : []),
    "",
    row("", ["mean", ...quantileShares.map(quantileName), "max"]),
    ...latencyRows(total)
      .filter(([, histogram]) => histogram.count > 0)
      .map(([name, histogram]) =>
        row(name, [
          showMs(histogram.mean),
          ...quantileShares.map((at) => showMs(histogram.quantile(at))),
          showMs(histogram.max),
        ]),
      ),
    ...(failures.length === 0 ? [] : ["", "Failures"]),
    ...failures.map(([kind, { count, example }]) =>
      `${row(`  ${kind}`, [String(count)])}  ${line(example)}`.trimEnd(),
    ),
    ...(tally.withRetryAfter > 0 ? [`  ${tally.withRetryAfter} answers said Retry-After`] : []),
    ...verifyLines(report),
    ...report.notes.map((note) => `Note: ${line(note)}`),
  ]
}
