// A report as one page that needs nothing else: no request leaves it, its plots are SVG in it, and
// it is read in light and dark, on paper and on a telephone.
import { figures } from "./figures.ts"
import { escapeXml } from "./plot.ts"
import type { ReportData } from "./Report.ts"
import {
  latencyRows,
  quantileName,
  quantileShares,
  showMs,
  showNumber,
  summarise,
  type Summary,
} from "./summary.ts"
import { hasObjectives, objectivesText } from "./words.ts"

const style = `
:root{color-scheme:light dark;--paper:#fbfbf9;--card:#fff;--ink:#1c1f24;--soft:#646b76;
--rule:#e3e4e0;
--c0:#1f6fd1;--c1:#d1651f;--c2:#2c8a5b;--c3:#8a4fc4;--c4:#b03060;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1d2024;--ink:#e6e8ea;
--soft:#9aa2ad;
--rule:#30343a;--c0:#6aa9f4;--c1:#f0965a;--c2:#62c492;--c3:#bb8df0;--c4:#ee7fa4;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:76rem;background:var(--paper);
color:var(--ink);
font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:2.25rem 0 .75rem}
p{margin:.25rem 0}.soft{color:var(--soft)}.bad{color:var(--bad)}
dl.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.75rem;
margin:1.5rem 0}
dl.tiles div,figure,.table{background:var(--card);border:1px solid var(--rule);
border-radius:8px}
dl.tiles div{padding:.75rem 1rem}dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-size:1.35rem;font-weight:600}dd small{display:block;color:var(--soft);
font-size:.8rem;font-weight:400}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:.45rem .9rem;text-align:right;border-top:1px solid var(--rule);white-space:nowrap}
tr:first-child th{border-top:0;color:var(--soft);font-weight:500;font-size:.8rem}
th:first-child,td:first-child,td.text{text-align:left}td.text{white-space:normal;
overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:1rem}
figure{margin:0;padding:.9rem .9rem .7rem}figcaption{font-weight:600;font-size:.9rem;
margin-bottom:.4rem}
svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}
.grid{stroke:var(--rule);fill:none}.mark{stroke:var(--bad);stroke-dasharray:5 4;fill:none}
.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}
.c4{color:var(--c4)}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:.35rem 0 0;
padding:0;font-size:.8rem}
.legend li::before{content:"";display:inline-block;width:.8rem;height:.2rem;margin-right:.4rem;
background:currentColor;vertical-align:middle;border-radius:1px}
@media print{body{max-width:none}figure,dl.tiles div{break-inside:avoid}}
`

/** Nothing is loaded, and nothing runs. */
const policy = "default-src 'none'; style-src 'unsafe-inline'"

/** `body` is markup; the title is text. */
export const htmlPage = (title: string, body: string): string =>
  `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">` +
  `<meta name="viewport" content="width=device-width,initial-scale=1">` +
  `<meta http-equiv="content-security-policy" content="${policy}">` +
  `<title>${escapeXml(title)}</title><style>${style}</style></head>\n<body>${body}</body></html>\n`

const tile = (name: string, value: string, more = "") =>
  `<div><dt>${escapeXml(name)}</dt>` +
  `<dd>${escapeXml(value)}<small>${escapeXml(more)}</small></dd></div>`

const tiles = (report: ReportData, summary: Summary): string => {
  const { total } = summary
  const { due, answered, failed, late, good } = total.count
  const percent = (count: number) => `${((100 * count) / Math.max(1, due)).toFixed(2)} %`
  const { ttft, tpot, e2e } = total.latency
  const p99 = (of: { quantile: (share: number) => number }) => `p99 ${showMs(of.quantile(0.99))}`
  const goals = hasObjectives(report.objectives)
    ? [tile("Within objectives", percent(good), objectivesText(report.objectives))]
    : []
  return `<dl class="tiles">${[
    tile("Requests", showNumber(due), `${showNumber(summary.duePerSecond)} a second were due`),
    tile("Answered", showNumber(answered), `${showNumber(summary.requestsPerSecond)} a second`),
    tile("Failed", showNumber(failed), percent(failed)),
    tile("Sent late", showNumber(late), `${percent(late)} by more than ${report.lateMs} ms`),
    ...goals,
    tile("First token, median", showMs(ttft.quantile(0.5)), p99(ttft)),
    tile("Token after that, median", showMs(tpot.quantile(0.5)), p99(tpot)),
    tile("End to end, median", showMs(e2e.quantile(0.5)), p99(e2e)),
    tile("Output", `${showNumber(summary.outputTokensPerSecond)}/s`, "tokens"),
  ].join("")}</dl>`
}

export const htmlTable = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const [head = [], ...others] = rows
  const cells = (row: ReadonlyArray<string>, name: "th" | "td") =>
    `<tr>${row.map((cell) => `<${name}>${escapeXml(cell)}</${name}>`).join("")}</tr>`
  const body = others.map((row) => cells(row, "td")).join("")
  return `<div class="table"><table>${cells(head, "th")}${body}</table></div>`
}

const latencyTable = ({ total }: Summary): string =>
  htmlTable([
    ["", "mean", ...quantileShares.map(quantileName), "max"],
    ...latencyRows(total)
      .filter(([, { count }]) => count > 0)
      .map(([name, histogram]) => [
        name,
        showMs(histogram.mean),
        ...quantileShares.map((share) => showMs(histogram.quantile(share))),
        showMs(histogram.max),
      ]),
  ])

const failureTable = ({ tally }: ReportData): string => {
  const kinds = Object.entries(tally.failures).sort(([, a], [, b]) => b.count - a.count)
  if (kinds.length === 0) return ""
  const rows = kinds.map(([kind, { count, example }]) => [kind, String(count), example])
  const retry = tally.withRetryAfter
  const more = retry === 0 ? "" : `<p class="soft">${retry} of them said Retry-After.</p>`
  const head = ["kind", "requests", "the first one"]
  return `<h2>Failures by kind</h2>${htmlTable([head, ...rows])}${more}`
}

const verified = ({ verify }: ReportData): string => {
  if (verify === null) return ""
  const { compared, equal, skipped, failed, divergences } = verify
  const rows = divergences.map(({ id, choice, position, unit, expected, found }) => [
    id,
    String(choice),
    `${unit} ${position}`,
    expected,
    found,
  ])
  const head = ["request", "choice", "differs at", "recorded", "now"]
  return (
    `<h2>Compared with the recording</h2><p>${equal} of ${compared} answers are the same; ` +
    `${skipped} had nothing to compare, ${failed} failed.</p>` +
    (rows.length === 0 ? "" : htmlTable([head, ...rows]))
  )
}

const paragraph = (name: string, text: string) => `<p class="${name}">${escapeXml(text)}</p>`

export const reportHtml = (report: ReportData): string => {
  const summary = summarise(report)
  const took = showMs(report.durationMs)
  const when = `${report.startedAt}, ${took}, generator processes: ${report.processes}`
  const body = [
    `<header><h1>${escapeXml(report.name)}</h1>`,
    paragraph("soft", `${report.target}${report.model === "" ? "" : `, model ${report.model}`}`),
    paragraph("soft", `${report.load}. ${when}.`),
    report.stopped ? paragraph("bad", "It was stopped before its plan's end.") : "",
    ...report.notes.map((note) => paragraph("bad", note)),
    "</header>",
    tiles(report, summary),
    latencyTable(summary),
    report.tally.clipped > 0
      ? paragraph("soft", `${report.tally.clipped} requests were cut to fit the context.`)
      : "",
    failureTable(report),
    verified(report),
    `<h2>Plots</h2><div class="plots">${figures(report).join("")}</div>`,
    paragraph("soft", "Latencies count from when a request was due; dashed lines are objectives."),
  ]
  return htmlPage(report.name, body.join("\n"))
}
