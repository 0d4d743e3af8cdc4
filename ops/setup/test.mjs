// `npm test [tier ...]`: set-up, then every tier that this machine can run, in order. The last line
// counts all of them together; any failure gives exit code 1.
import { mkdtempSync, existsSync, readFileSync, rmSync } from "node:fs"
import { spawn } from "node:child_process"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { root, say, SetupError } from "./house.mjs"
import { seconds } from "./dependencies.mjs"
import { main, setup } from "./setup.mjs"
import { tiers } from "./tiers.mjs"

const lastBytesMax = 4096

/** Runs one step with our output; resolves to its exit code and the end of what it printed. */
const runStep = (step, minutesMax, env) =>
  new Promise((resolve) => {
    const child = spawn(step.command, step.args ?? [], {
      cwd: root,
      env,
      stdio: ["ignore", "pipe", "inherit"],
      // A group of its own: past its time it goes with all that it started.
      detached: true,
    })
    let last = ""
    child.stdout.on("data", (chunk) => {
      process.stdout.write(chunk)
      last = (last + chunk).slice(-lastBytesMax)
    })
    const timer = setTimeout(() => {
      say(`sluice: ${step.name} took longer than ${minutesMax} minutes and was ended`)
      process.kill(-child.pid, "SIGKILL")
    }, minutesMax * 60_000)
    const end = (code) => {
      clearTimeout(timer)
      running.delete(child.pid)
      resolve({ code, last })
    }
    child.once("error", (error) => {
      say(`sluice: cannot start ${step.command}: ${error.message}`)
      end(-1)
    })
    child.once("close", (code) => end(code ?? -1))
    if (child.pid !== undefined) running.add(child.pid)
  })

const running = new Set()

const endWithUs = () => {
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      for (const pid of running) process.kill(-pid, "SIGKILL")
      process.exit(130)
    })
  }
}

const one = (ok) => ({ passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 })

/** A step that failed without naming a failed test still is one failure. */
const withExit = (tally, code) =>
  code === 0 || tally.failed > 0 ? tally : { ...tally, failed: tally.failed + 1 }

const counted = (step, result, tallyFile) => {
  if (step.kind === "exit") return one(result.code === 0)
  if (step.kind === "native") {
    const found = /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$/.exec(result.last)
    if (found === null) return one(false)
    const [passed, failed, skipped] = found.slice(1).map((count) => Number(count ?? 0))
    return withExit({ passed, failed, skipped }, result.code)
  }
  if (!existsSync(tallyFile)) return one(false)
  return withExit(JSON.parse(readFileSync(tallyFile, "utf8")), result.code)
}

const sum = (tallies) =>
  tallies.reduce(
    (total, tally) => ({
      passed: total.passed + tally.passed,
      failed: total.failed + tally.failed,
      skipped: total.skipped + tally.skipped,
    }),
    { passed: 0, failed: 0, skipped: 0 },
  )

const words = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

const runTier = async (tier, node, folder) => {
  const started = performance.now()
  say(`\nsluice: ${tier.name}: ${tier.what}`)
  const tallies = []
  const failures = []
  for (const [index, step] of tier.steps(node).entries()) {
    const tallyFile = join(folder, `${tier.name}-${index}.json`)
    const path = `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH}`
    const env = { ...process.env, PATH: path, SLUICE_TALLY: tallyFile }
    const tally = counted(step, await runStep(step, tier.minutesMax, env), tallyFile)
    tallies.push(tally)
    if (tally.failed > 0) failures.push(step.name)
    // Without its build, a tier's tests would test what was built before.
    if (tally.failed > 0 && step.name.endsWith("build")) break
  }
  return { tier, tally: sum(tallies), failures, took: seconds(started) }
}

const chosen = (names) => {
  const unknown = names.filter((name) => !tiers.some((tier) => tier.name === name))
  if (unknown.length > 0) {
    const known = tiers.map((tier) => tier.name).join(", ")
    throw new SetupError(`There is no tier ${unknown.join(", ")}; the tiers are ${known}.`)
  }
  return names.length === 0 ? tiers : tiers.filter((tier) => names.includes(tier.name))
}

await main(async () => {
  const selected = chosen(process.argv.slice(2))
  const node = await setup()
  endWithUs()
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"))
  const done = []
  const skipped = []
  for (const tier of selected) {
    const reason = tier.skip?.() ?? null
    if (reason === null) done.push(await runTier(tier, node, folder))
    else if (process.env.SLUICE_TEST_ALL === "1") {
      const failures = [`it cannot run: ${reason}`]
      done.push({ tier, tally: { passed: 0, failed: 1, skipped: 0 }, failures, took: 0 })
    } else skipped.push({ tier, reason })
  }
  rmSync(folder, { recursive: true, force: true })

  const lines = done.map(
    ({ tier, tally, failures, took }) =>
      `  ${tier.name.padEnd(12)} ${words(tally)}, ${took} s` +
      (failures.length > 0 ? `; failed: ${failures.join(", ")}` : ""),
  )
  for (const { tier, reason } of skipped) lines.push(`  ${tier.name.padEnd(12)} skipped: ${reason}`)
  const total = sum(done.map((tier) => tier.tally))
  process.stdout.write(`\n${lines.join("\n")}\n\nTests: ${words(total)}\n`)
  if (total.failed > 0) process.exitCode = 1
})
