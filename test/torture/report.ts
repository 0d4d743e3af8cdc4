// The report of a run as a page: what was done, what came of it, how long streams stood still.
import { quantile } from "./recovery.ts"
import type { TortureReport } from "./torture.ts"

export interface Circumstances {
  readonly commit: string
  readonly device: string
  readonly at: string
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>) =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")

const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(", ")

const judgement = (violations: ReadonlyArray<string>): string => {
  if (violations.length === 0) {
    return "Nothing was lost, repeated, reordered or invented; every request has one end."
  }
  const all = violations.map((text) => `- ${text}`).join("\n")
  return `**${violations.length} violations.**\n\n${all}`
}

const recoveriesOf = ({ pauses }: TortureReport) =>
  pauses.map(({ fault, faults, pausesMs }) => ({
    fault,
    faults,
    streams: pausesMs.length,
    p50Ms: quantile(pausesMs, 0.5),
    p90Ms: quantile(pausesMs, 0.9),
    p99Ms: quantile(pausesMs, 0.99),
    maxMs: pausesMs.at(-1) ?? 0,
  }))

/** The same figures, to be read by programs. */
export const reportFigures = (report: TortureReport, circumstances: Circumstances) => {
  const { pauses: _, ...counts } = report
  return { ...circumstances, ...counts, recoveries: recoveriesOf(report) }
}

export const reportPage = (report: TortureReport, { commit, device, at }: Circumstances): string =>
  `# Torture, ${report.log} log

${report.kills} kills in ${report.tookSeconds} s, ${report.seeds.length} rigs side by side
(seeds ${report.seeds.join(", ")}); commit ${commit},
${device}, ${at}.

${judgement(report.violations)}

${table(
  ["what", "how much"],
  [
    ["requests", report.requests],
    ["ends", listed(report.outcomes)],
    ["events that clients saw", report.events],
    ["connections that broke", report.breaks],
    ["requests adopted by another worker", report.adopted],
    ["entries that the fold refused", listed(report.refused)],
  ],
)}

Streams that stood still, from the fault to their next event (other faults may have come in
between; a link is the way between clients and a gateway, or between processes and a broker):

${table(
  ["fault", "times", "streams", "p50 ms", "p90 ms", "p99 ms", "max ms"],
  recoveriesOf(report).map((one) => [
    one.fault,
    one.faults,
    one.streams,
    one.p50Ms,
    one.p90Ms,
    one.p99Ms,
    one.maxMs,
  ]),
)}
`
