// A short torture of real processes on one data folder: workers and gateways killed and stopped at
// random under streams that break and resume. `npm run torture` does a thousand kills, and Kafka.
// SLUICE_SEED replays the order of the faults, not their very moments.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { reportPage } from "../torture/report.ts"
import { embeddedRig } from "../torture/rigs.ts"
import { torture } from "../torture/torture.ts"

const kills = 16
const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000)
const folder = mkdtempSync(join(tmpdir(), "sluice-torture-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("tortured processes", () => {
  it(
    `lose and repeat nothing over ${kills} kills, seed ${seed}`,
    { timeout: 300_000 },
    async () => {
      const rig = await embeddedRig()
      const report = await torture({
        rig,
        seed,
        kills,
        streams: 12,
        tokens: 100,
        historyFile: join(folder, "history.jsonl"),
      }).finally(() => rig.close())
      assert.deepStrictEqual(report.violations, [])
      assert.isAbove(report.adopted, 0, reportPage(report, { commit: "", device: "", at: "" }))
      assert.isAbove(report.breaks, 0)
    },
  )
})
