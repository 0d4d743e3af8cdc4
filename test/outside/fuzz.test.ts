// Every route of /openapi.json under schemathesis, a bounded slice of it: what it makes up may be
// refused, but never breaks the server or leaves it silent. The whole, with its coverage phase, is
// the same command without --phases (a minute).
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { pythonWith } from "../support/services/tools.ts"
import { type Sluice, startSluice } from "../support/server.ts"

const run = promisify(execFile)
const answerSecondsMax = 8

describe("made-up requests", () => {
  // It leaves what it found where it runs.
  const folder = mkdtempSync(join(tmpdir(), "sluice-fuzz-"))
  let server: Sluice
  beforeAll(async () => {
    server = await startSluice({ flags: ["--engine", "scripted"] })
  })
  afterAll(async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it("get no 5xx and no silence from any route", async () => {
    const { bin } = await pythonWith("schemathesis", ["schemathesis==4.32.5"])
    const args = ["run", `${server.url}/openapi.json`, "--checks", "not_a_server_error"]
    const bounds = ["--phases", "fuzzing", "--max-examples", "3", "--seed", "1", "--no-color"]
    const patience = ["--request-timeout", `${answerSecondsMax}`]
    const { stdout } = await run(bin("schemathesis"), [...args, ...bounds, ...patience], {
      cwd: folder,
    })
    const [, selected, there] = /Selected: (\d+)\/(\d+)/.exec(stdout) ?? []
    assert.isAbove(Number(there), 20)
    assert.strictEqual(selected, there)
    assert.strictEqual(/Tested: (\d+)/.exec(stdout)?.[1], there)
    assert.strictEqual((await fetch(`${server.url}/health`)).status, 200)
  }, 240_000)
})
