// A short torture of real processes on three brokers: workers, gateways and brokers killed, the
// network between all of them bad. `npm run torture -- --log kafka` does it for longer.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, it } from "vitest"
import { reportPage } from "../torture/report.ts"
import { kafkaRig } from "../torture/rigs.ts"
import { torture } from "../torture/torture.ts"

const kills = 3
const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000)
const folder = mkdtempSync(join(tmpdir(), "sluice-torture-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it(`lose and repeat nothing over ${kills} kills, seed ${seed}`, { timeout: 300_000 }, async () => {
  const rig = await kafkaRig()
  const report = await torture({
    rig: { ...rig, faultEveryMs: 1_500 },
    seed,
    kills,
    streams: 8,
    tokens: 80,
    historyFile: join(folder, "history.jsonl"),
  }).finally(() => rig.close())
  const page = reportPage(report, { commit: "", device: "", at: "" })
  assert.deepStrictEqual(report.violations, [], page)
  assert.isAbove(report.events, 8 * 80, page)
})
