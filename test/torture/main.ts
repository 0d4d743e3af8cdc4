// `npm run torture -- [--log embedded|kafka] [--kills N] [--rigs N] [--streams N] [--seed N]`: the
// report and its figures go to test/torture/results/; the histories stay where something was wrong.
// With several rigs the kills are shared out among them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { projectRoot } from "../support/shared.ts"
import { commitNow, deviceHere } from "./circumstances.ts"
import { reportFigures, reportPage } from "./report.ts"
import { rigs } from "./rigs.ts"
import { runRigs } from "./runRigs.ts"

const { values } = parseArgs({
  options: {
    log: { type: "string", default: "embedded" },
    kills: { type: "string", default: "1000" },
    rigs: { type: "string", default: "1" },
    streams: { type: "string", default: "30" },
    tokens: { type: "string", default: "150" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
})

const whole = (name: "kills" | "rigs" | "streams" | "tokens" | "seed"): number => {
  const number = Number(values[name])
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new Error(`--${name} must be a whole number from 1 on, not ${values[name]}`)
}

if (!rigs.has(values.log)) throw new Error(`--log is ${[...rigs.keys()].join(" or ")}`)

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130))

const folder = mkdtempSync(join(tmpdir(), "sluice-torture-"))
const kills = whole("kills")
const count = whole("rigs")
const orders = Array.from({ length: count }, (_, i) => ({
  log: values.log,
  seed: whole("seed") + 2 * i,
  kills: Math.ceil((kills - i) / count),
  streams: whole("streams"),
  tokens: whole("tokens"),
  historyFile: join(folder, `history-${i}.jsonl`),
}))
const report = await runRigs(orders, (done) => {
  if (done % 10 === 0) process.stderr.write(`${done} of ${kills} kills\n`)
})

const circumstances = { commit: commitNow(), device: deviceHere(), at: new Date().toISOString() }
const page = reportPage(report, circumstances)
const results = join(projectRoot, "test", "torture", "results")
mkdirSync(results, { recursive: true })
writeFileSync(join(results, `${report.log}.md`), page)
const figures = reportFigures(report, circumstances)
writeFileSync(join(results, `${report.log}.json`), `${JSON.stringify(figures, null, 2)}\n`)
process.stdout.write(page)
if (report.violations.length > 0) {
  process.stdout.write(`\nThe histories are in ${folder}.\n`)
  process.exitCode = 1
} else rmSync(folder, { recursive: true })
process.exit()
