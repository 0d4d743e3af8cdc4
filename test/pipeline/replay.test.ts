// `sluice replay` as a person runs it: against a server that goes wrong in every way, where each is
// counted under its name and nothing hangs, and against a Sluice of its own.
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { parseReport, type ReportData, tallyOf } from "../../src/replay/report/Report.ts"
import { type Behaviour, StubTarget } from "../support/replay/StubTarget.ts"
import { startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const folder = mkdtempSync(join(tmpdir(), "sluice-replay-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const main = join(projectRoot, "src", "cli", "main.ts")
const jsonFile = join(folder, "report.json")

const start = (args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [main, "replay", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: projectRoot,
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (bytes) => (stdout += String(bytes)))
  child.stderr.on("data", (bytes) => (stderr += String(bytes)))
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.once("close", (code) => resolve({ code, stdout, stderr })),
  )
  return { child, ended }
}

const replay = (...args: ReadonlyArray<string>) => start([...args, "--json", jsonFile]).ended

const reported = (): ReportData => {
  const report = parseReport(readFileSync(jsonFile, "utf8"))
  if (report === null) throw new Error("the report cannot be read back")
  return report
}

const behaviours: ReadonlyArray<readonly [Behaviour, failure: string]> = [
  ["tooManyRequests", "tooManyRequests"],
  ["serverError", "serverError"],
  ["reset", "reset"],
  ["closeAtOnce", "closedEarly"],
  ["closeMidStream", "closedEarly"],
  ["noDone", "closedEarly"],
  ["stall", "stalled"],
  ["silence", "timeout"],
  ["malformed", "malformed"],
  ["errorEvent", "errorEvent"],
  ["wrongContentType", "wrongContentType"],
  ["noHttp", "malformed"],
]

describe("a target that goes wrong", () => {
  it("in each way is counted by it, and the rest is measured", { timeout: 60_000 }, async () => {
    const kinds: ReadonlyArray<Behaviour> = [...behaviours.map(([kind]) => kind), "well"]
    const stub = new StubTarget({ behave: (index) => kinds[index % kinds.length] ?? "well" })
    const target = await stub.start()
    const rounds = 3
    const requests = String(kinds.length * rounds)
    const limits = ["--stall", "1500ms", "--timeout", "3s"]
    const load = ["--lengths", "20:3", "--rate", "100", "--requests", requests, ...limits]
    const { code, stdout } = await replay(...load, "--target", target)
    stub.stop()
    assert.strictEqual(code, 0, stdout)
    const { failures, withRetryAfter } = reported().tally
    const found = Object.entries(failures).map(([kind, { count }]) => [kind, count] as const)
    const expected = new Map<string, number>()
    for (const [, kind] of behaviours) expected.set(kind, (expected.get(kind) ?? 0) + rounds)
    assert.deepStrictEqual(new Map(found), expected)
    assert.strictEqual(withRetryAfter, rounds)
    const { count } = tallyOf(reported()).timeline.total()
    assert.strictEqual(count.answered, rounds)
    assert.strictEqual(count.due, kinds.length * rounds)
    assert.match(stdout, /tooManyRequests +3 .*429/)
  })

  it("that is not there, or answers nothing well, is an exit code of 1", async () => {
    const stub = new StubTarget({ behave: () => "serverError" })
    const target = await stub.start()
    const load = ["--lengths", "5:1", "--rate", "50", "--requests", "5"]
    assert.strictEqual((await replay(...load, "--target", target)).code, 1)
    stub.stop()
    const gone = await replay(...load, "--target", target)
    assert.strictEqual(gone.code, 1)
    assert.match(gone.stderr, /cannot be reached/)
  })
})

describe("due times", () => {
  it("are kept to while the server is slow, whose delay is measured from them", async () => {
    const stub = new StubTarget({ delayMs: 100 })
    const target = await stub.start()
    const trace = join(folder, "trace.jsonl")
    const line = (timestamp: number) =>
      JSON.stringify({ timestamp, input_length: 40, output_length: 3, hash_ids: [1] })
    writeFileSync(trace, Array.from({ length: 40 }, (_, i) => line(i * 20)).join("\n"))
    const open = await replay(trace, "--target", target, "--speed", "2", "--processes", "2")
    assert.strictEqual(open.code, 0, open.stderr)
    const free = tallyOf(reported()).timeline.total()
    assert.strictEqual(free.count.answered, 40)
    assert.isAbove(free.inFlightMax, 4)
    assert.isBelow(free.latency.ttft.quantile(0.5), 250)
    // With room for two at once the same arrivals wait, and every wait counts as a late send.
    await replay(trace, "--target", target, "--speed", "2", "--concurrency", "2")
    const bound = tallyOf(reported()).timeline.total()
    assert.strictEqual(bound.count.answered, 40)
    assert.strictEqual(bound.inFlightMax, 2)
    assert.isAbove(bound.count.late, 30)
    assert.isAbove(bound.latency.ttft.quantile(0.9), 1000)
    stub.stop()
    const prompts = stub.bodies.map((body): unknown => JSON.parse(body).prompt)
    assert.lengthOf(new Set(prompts), 1, "equal blocks are equal prompts")
  })

  it("end with Ctrl-C in a report of what was done", async () => {
    const stub = new StubTarget()
    const target = await stub.start()
    const load = ["--lengths", "5:3", "--rate", "100", "--duration", "60s"]
    const { child, ended } = start([...load, "--target", target, "--json", jsonFile])
    while (stub.served < 50) await new Promise((resolve) => setTimeout(resolve, 20))
    child.kill("SIGINT")
    const { code, stdout } = await ended
    stub.stop()
    assert.strictEqual(code, 0)
    assert.match(stdout, /stopped before its end/)
    assert.isAtLeast(tallyOf(reported()).timeline.total().count.answered, 45)
  })
})

describe("a Sluice", () => {
  it("is loaded as fast as it goes, and says what it counted", { timeout: 60_000 }, async () => {
    const server = await startSluice({ flags: ["--engine", "scripted"] })
    const load = ["--lengths", "64:16", "--speed", "max", "--concurrency", "8", "--requests", "64"]
    const scrape = ["--scrape", `${server.url}/metrics`, "--slo", "e2e=20s"]
    const { code, stdout } = await replay(...load, ...scrape, "--target", `${server.url}/v1`)
    await server.stop()
    assert.strictEqual(code, 0, stdout)
    const { count, inFlightMax } = tallyOf(reported()).timeline.total()
    assert.deepInclude(count, { answered: 64, failed: 0, good: 64, outputTokens: 64 * 16 })
    assert.isAtMost(inFlightMax, 8)
    assert.closeTo(count.promptTokens / 64, 64, 8)
    const vllm: Record<string, unknown> = JSON.parse(readFileSync(jsonFile, "utf8"))
    assert.deepInclude(vllm, { completed: 64, total_output_tokens: 1024, num_prompts: 64 })
    assert.isAbove(Number(vllm["p99_ttft_ms"]), 0)
  })
})

describe("a search for a rate", () => {
  it("finds about what a server of known capacity can do", { timeout: 60_000 }, async () => {
    const stub = new StubTarget({ perSecondMax: 40 })
    const target = await stub.start()
    const goal = ["--slo", "ttft=2s", "--attain", "0.9", "--duration", "1s", "--rate", "20"]
    const load = ["--lengths", "5:3", "--target", target, ...goal]
    const { code, stdout } = await start(["find-rate", ...load]).ended
    stub.stop()
    assert.strictEqual(code, 0, stdout)
    const found = Number(/^([\d.]+) requests\/s hold/.exec(stdout)?.[1])
    assert.isAbove(found, 10)
    assert.isBelow(found, 90)
  })
})
