// The load generator's figures against those of an independent client of the same server: Python's
// asyncio, which shares no code with it. Medians of a server that takes its time are compared; what
// a busy machine adds to both is far below the bound.
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { parseReport, tallyOf } from "../../src/replay/report/Report.ts"
import { startStub } from "../support/replay/stubProcess.ts"
import { projectRoot } from "../support/shared.ts"

const run = (command: string, args: ReadonlyArray<string>) =>
  new Promise<string>((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], cwd: projectRoot })
    let stdout = ""
    child.stdout.on("data", (bytes) => (stdout += String(bytes)))
    child.once("error", reject)
    child.once("close", (code) =>
      code === 0 ? resolve(stdout) : reject(new Error(`${command} ended with ${code}: ${stdout}`)),
    )
  })

/** Of a median of some 100 ms: a fifth, which no figure counted differently would keep to. */
const within = (found: number, expected: number, name: string) =>
  assert.closeTo(found, expected, Math.max(15, expected * 0.2), name)

describe("an independent client", () => {
  it("measures what the load generator measures", { timeout: 60_000 }, async () => {
    const stub = await startStub({ delayMs: 150, gapMs: 80, pieces: 5 })
    const { hostname, port } = new URL(stub.url)
    const client = join(projectRoot, "test", "support", "replay", "client.py")
    const printed = await run("python3", [client, hostname, port, "100", "25"])
    const python: Record<string, number> = JSON.parse(printed)
    const folder = mkdtempSync(join(tmpdir(), "sluice-agrees-"))
    const json = join(folder, "report.json")
    const main = join(projectRoot, "src", "cli", "main.ts")
    const load = ["--lengths", "8:5", "--rate", "uniform:25", "--requests", "100"]
    await run(process.execPath, [main, "replay", ...load, "--target", stub.url, "--json", json])
    const report = parseReport(readFileSync(json, "utf8"))
    rmSync(folder, { recursive: true })
    await stub.end()
    assert.isNotNull(report)
    if (report === null) return
    const { count, latency } = tallyOf(report).timeline.total()
    assert.strictEqual(count.answered, 100)
    within(latency.ttft.quantile(0.5), python["ttft"] ?? 0, "ttft")
    within(latency.itl.quantile(0.5), python["itl"] ?? 0, "itl")
    within(latency.e2e.quantile(0.5), python["e2e"] ?? 0, "e2e")
  })
})
