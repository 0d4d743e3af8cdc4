// Traffic recorded from the log of a running server, and replayed against it: the same tokens come
// again, and a token that does not is found. A redacted record says nothing of what was said.
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { openTrace } from "../../src/replay/trace/openTrace.ts"
import { TraceError, type TraceRequest } from "../../src/replay/trace/Trace.ts"
import { type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const folder = mkdtempSync(join(tmpdir(), "sluice-record-"))
const main = join(projectRoot, "src", "cli", "main.ts")
const tracePath = join(folder, "trace.jsonl")

let server: Sluice | null = null
beforeAll(async () => {
  server = await startSluice({ flags: ["--engine", "scripted"] })
})
afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const sluice = (...args: ReadonlyArray<string>) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    timeout: 60_000,
    cwd: projectRoot,
    maxBuffer: 64 * 1024 * 1024,
  })
  return { code: status, stdout, stderr }
}

const post = async (path: string, body: unknown) => {
  const answer = await fetch(`${server?.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  })
  return answer.text()
}

const requestsOf = (path: string): ReadonlyArray<TraceRequest> => {
  const trace = openTrace(path, null)
  if (trace instanceof TraceError) throw trace
  const requests: Array<TraceRequest> = []
  for (let next = trace.next(); next !== null; next = trace.next()) {
    if (next instanceof TraceError) throw next
    requests.push(next)
  }
  trace.close()
  return requests
}

const secret = "Pomegranate velvet"

describe("a record of a server's log", { timeout: 120_000 }, () => {
  it("has what was asked and answered, in order, while the server runs", async () => {
    const shared = "Once upon a time there was a small dragon who lived near the sea and sang."
    for (const prompt of [`${shared} One`, `${shared} Two`]) {
      await post("/v1/completions", { prompt, max_tokens: 9, stream: true, seed: 5 })
    }
    await post("/v1/completions", { prompt: secret, max_tokens: 4, n: 2, stop: ["zebra"] })
    const messages = [{ role: "user", content: "Say a word" }]
    await post("/v1/chat/completions", { messages, max_tokens: 6, temperature: 0 })
    const { code, stdout, stderr } = sluice("record", "export", "--data", server?.data ?? "")
    assert.strictEqual(code, 0, stderr)
    writeFileSync(tracePath, stdout)
    const requests = requestsOf(tracePath)
    assert.lengthOf(requests, 4)
    const [one, two, several] = requests
    assert.deepInclude(one, { atMs: 0, outputTokens: 9 })
    assert.deepInclude(one?.params, { seed: 5, max_tokens: 9 })
    assert.deepInclude(several?.params, { n: 2, stop: ["zebra"] })
    assert.lengthOf(several?.answer?.choices ?? [], 2)
    assert.lengthOf(one?.answer?.choices[0]?.ids ?? [], 9)
    assert.strictEqual(
      one?.answer?.frames.reduce((sum, [, tokens]) => sum + tokens, 0),
      9,
    )
    const [first = [], second = []] = [one?.blocks?.hashes, two?.blocks?.hashes]
    assert.strictEqual(first[0], second[0], "equal beginnings have equal blocks")
    assert.notStrictEqual(first.at(-1), second.at(-1))
    assert.isTrue(requests.every((request, i) => i === 0 || (request.atMs ?? 0) > 0))
  })

  it("replayed against it says the same tokens, and names the first that differs", () => {
    const verify = ["--verify", "--speed", "max", "--target", server?.url ?? ""]
    const same = sluice("replay", tracePath, ...verify)
    assert.match(same.stdout, /Compared +4, equal 4/, same.stdout + same.stderr)
    assert.strictEqual(same.code, 0)
    const lines = readFileSync(tracePath, "utf8").split("\n")
    const changed: { answer: { choices: Array<{ ids: Array<number> }> } } = JSON.parse(
      lines[2] ?? "",
    )
    const ids = changed.answer.choices[0]?.ids ?? []
    const was = ids[3] ?? 0
    ids[3] = was + 1
    lines[2] = JSON.stringify(changed)
    const changedPath = join(folder, "changed.jsonl")
    writeFileSync(changedPath, lines.join("\n"))
    const other = sluice("replay", changedPath, ...verify)
    assert.strictEqual(other.code, 1)
    assert.match(other.stdout, /Compared +4, equal 3/)
    assert.include(other.stdout, `differs at token 3: recorded ${was + 1}, now ${was}`)
  })

  it("replayed straight into the log says them too, and takes made-up ids", () => {
    const log = ["--target", "log", "--data", server?.data ?? "", "--speed", "max"]
    const same = sluice("replay", tracePath, ...log, "--verify")
    // Its third request had a stop string, and its choices end by length all the same.
    assert.match(same.stdout, /Compared +4, equal 4/, same.stdout + same.stderr)
    const made = sluice("replay", "--lengths", "40:5", "--requests", "20", ...log)
    assert.match(made.stdout, /20 answered, 0 failed/, made.stdout + made.stderr)
    const none = sluice("replay", tracePath, "--target", "log", "--data", folder)
    assert.match(none.stderr, /there is no log in/)
    assert.match(sluice("replay", tracePath, "--target", "kafka").stderr, /needs brokers/)
  })

  it("redacted says nothing of what was said", () => {
    const data = server?.data ?? ""
    const { stdout } = sluice("record", "export", "--data", data, "--redact", "--to", "1s")
    const path = join(folder, "redacted.jsonl")
    writeFileSync(path, stdout)
    const whole = requestsOf(tracePath)
    const redacted = requestsOf(path)
    assert.isAtLeast(redacted.length, 4)
    assert.notMatch(stdout, /Pomegranate|velvet|zebra|req-|"ids"|prompt_ids|"text"/)
    assert.strictEqual(redacted[0]?.promptTokens, whole[0]?.promptTokens)
    const hashes = (requests: ReadonlyArray<TraceRequest>) => requests[0]?.blocks?.hashes
    assert.notDeepEqual(hashes(redacted), hashes(whole), "salted")
    assert.strictEqual(redacted[0]?.blocks?.hashes[0], redacted[1]?.blocks?.hashes[0])
  })

  it("keeps to its span of time and its model", () => {
    const data = ["--data", server?.data ?? ""]
    const early = sluice("record", "export", ...data, "--to", "2020-01-01T00:00:00Z")
    assert.lengthOf(early.stdout.trim().split("\n"), 1)
    const other = sluice("record", "export", ...data, "--served-model-name", "other")
    assert.match(other.stderr, /^sluice: 0 requests of other/m)
    assert.strictEqual(sluice("record", "export", ...data, "--from", "soon").code, 2)
    assert.match(sluice("record", "export", "--data", folder).stderr, /there is no log in/)
  })

  it("becomes any other format, and comes back", () => {
    const { stdout } = sluice("record", "convert", tracePath, "--format", "mooncake")
    const path = join(folder, "mooncake.jsonl")
    writeFileSync(path, stdout)
    const [whole, converted] = [requestsOf(tracePath), requestsOf(path)]
    const lengths = (requests: ReadonlyArray<TraceRequest>) =>
      requests.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])
    assert.deepStrictEqual(lengths(converted), lengths(whole))
    const bad = sluice("record", "convert", join(folder, "none"), "--format", "azure")
    assert.match(bad.stderr, /there is no such file/)
  })
})
