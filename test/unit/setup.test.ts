// The scripts behind `npm start` and `npm test`: what they say on a machine that lacks something,
// and that a finished set-up costs nothing.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { projectRoot } from "../support/shared.ts"

const script = (name: string) => join(projectRoot, "ops", "setup", name)

const run = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
): { readonly code: number | null; readonly out: string; readonly err: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    timeout: 20_000,
    env: { ...process.env, ...env },
    cwd: projectRoot,
  })
  return { code: status, out: stdout, err: stderr }
}

const missing = (path: string) =>
  run(
    [
      "--input-type=module",
      "-e",
      'import { missingForBuild } from "./ops/setup/prerequisites.mjs"\n' +
        "console.log(missingForBuild())",
    ],
    { PATH: path, CXX: "", PYTHON: "" },
  ).out

describe("set-up", () => {
  it("names every missing prerequisite with its packages", () => {
    const text = missing("/nonexistent")
    assert.include(text, "a C++20 compiler")
    assert.include(text, "apt-get install g++ make python3")
    assert.include(text, "dnf install gcc-c++ make python3")
    assert.include(text, "xcode-select --install")
  })

  it("names only what is missing", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-path-"))
    for (const command of ["c++", "python3"]) {
      writeFileSync(join(folder, command), "#!/bin/sh\nexit 0\n", { mode: 0o755 })
    }
    const text = missing(folder)
    rmSync(folder, { recursive: true })
    assert.include(text, "apt-get install make\n")
  })

  it("finds nothing missing here, where the addon was built", () => {
    assert.strictEqual(missing(process.env["PATH"] ?? "").trim(), "null")
  })

  it("knows that dependencies are current without asking npm", () => {
    const { out } = run([
      "--input-type=module",
      "-e",
      'import { dependenciesAreCurrent } from "./ops/setup/dependencies.mjs"\n' +
        "const started = performance.now()\n" +
        "console.log(dependenciesAreCurrent(), performance.now() - started < 200)",
    ])
    assert.strictEqual(out, "true true\n")
  })

  it("is over at once when there is nothing to do", () => {
    const started = performance.now()
    const { code, err } = run([script("setup.mjs")], { npm_execpath: "/nonexistent" })
    assert.strictEqual(code, 0, err)
    assert.strictEqual(err, "")
    // A few times the 0.1 s that it takes, for machines that are busy with other tests.
    assert.isBelow(performance.now() - started, 2000)
  })
})

describe("npm test", () => {
  it("names the tiers when asked for one that is none", () => {
    const { code, err } = run([script("test.mjs"), "unti"])
    assert.strictEqual(code, 1)
    assert.match(err, /no tier unti; the tiers are check, native, cuda, unit/)
  })

  it("has a folder for every tier that runs one", () => {
    for (const tier of ["unit", "contract", "binding", "golden", "pipeline", "conformance"]) {
      assert.isTrue(existsSync(join(projectRoot, "test", tier)), tier)
    }
  })

  it("counts a file that cannot be loaded as a failure", () => {
    mkdirSync(join(projectRoot, ".cache"), { recursive: true })
    const folder = mkdtempSync(join(projectRoot, ".cache", "tally-"))
    const tally = join(folder, "tally.json")
    writeFileSync(join(folder, "broken.test.ts"), 'import "./not-there.ts"\n')
    const { code } = run(
      [
        join(projectRoot, "node_modules", "vitest", "vitest.mjs"),
        "run",
        "--root",
        folder,
        "--reporter",
        join(projectRoot, "test", "support", "tallyReporter.ts"),
      ],
      { SLUICE_TALLY: tally },
    )
    const counted = run(["-p", `require("fs").readFileSync(${JSON.stringify(tally)}, "utf8")`]).out
    rmSync(folder, { recursive: true })
    assert.strictEqual(code, 1)
    assert.match(counted, /"passed":0,"failed":1,"skipped":0/)
  })
})
