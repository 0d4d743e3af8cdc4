// `sluice replay compare a.json b.json`: two reports side by side.
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { compareHtml, compareLines } from "../../replay/report/compare.ts"
import { parseReport, type ReportData } from "../../replay/report/Report.ts"
import type { GivenFlags } from "../../replay/ReplayOptions.ts"
import type { Output } from "../topics.ts"

/** A report has some hundred kilobytes. */
const reportBytesMax = 256 * 1024 * 1024

const readReport = (file: string): ReportData | string => {
  if (!existsSync(file)) return `${file}: there is no such file`
  const { size } = statSync(file)
  if (size > reportBytesMax) return `${file}: ${size} bytes are no report`
  const report = parseReport(readFileSync(file, "utf8"))
  return report ?? `${file} is no report that sluice replay --json wrote`
}

/** The exit code. */
export const compareCommand = ({ operands, options }: GivenFlags, output: Output): number => {
  const [first, second] = operands
  if (first === undefined || second === undefined) {
    output.err("sluice replay compare takes two reports, as --json writes them")
    return 2
  }
  const [a, b] = [readReport(first), readReport(second)]
  if (typeof a === "string" || typeof b === "string") {
    output.err(`sluice: ${typeof a === "string" ? a : String(b)}`)
    return 1
  }
  compareLines(a, b).forEach(output.out)
  const html = options.get("html")
  if (html !== undefined) writeFileSync(html, compareHtml(a, b))
  return 0
}
