// `npm run torture -- [--log embedded|kafka] [--kills N] [--streams N] [--seed N]`: the report and
// its figures go to test/torture/results/; the history stays where something was wrong.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { projectRoot } from "../support/shared.ts"
import { commitNow, deviceHere } from "./circumstances.ts"
import { reportPage } from "./report.ts"
import { embeddedRig, kafkaRig } from "./rigs.ts"
import { torture } from "./torture.ts"

const { values } = parseArgs({
  options: {
    log: { type: "string", default: "embedded" },
    kills: { type: "string", default: "1000" },
    streams: { type: "string", default: "30" },
    tokens: { type: "string", default: "150" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
})

const rigs = new Map([
  ["embedded", embeddedRig],
  ["kafka", kafkaRig],
])

const makeRig = rigs.get(values.log)
if (makeRig === undefined) throw new Error(`--log is ${[...rigs.keys()].join(" or ")}`)

// Nobody who was started stays when this is stopped.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130))

const folder = mkdtempSync(join(tmpdir(), "sluice-torture-"))
const historyFile = join(folder, "history.jsonl")
const rig = await makeRig()
const kills = Number(values.kills)
const report = await torture({
  rig,
  seed: Number(values.seed),
  kills,
  streams: Number(values.streams),
  tokens: Number(values.tokens),
  historyFile,
  onProgress: (done) => {
    if (done % 10 === 0) process.stderr.write(`${done} of ${kills} kills\n`)
  },
}).finally(() => rig.close())

const page = reportPage(report, {
  commit: commitNow(),
  device: deviceHere(),
  at: new Date().toISOString(),
})
const results = join(projectRoot, "test", "torture", "results")
mkdirSync(results, { recursive: true })
writeFileSync(join(results, `${report.log}.md`), page)
process.stdout.write(page)
if (report.violations.length > 0) {
  process.stdout.write(`\nThe history is in ${historyFile}.\n`)
  process.exitCode = 1
} else rmSync(folder, { recursive: true })
process.exit()
