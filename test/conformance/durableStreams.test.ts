// The official conformance tests of Durable Streams (npm @durable-streams/server-conformance-tests,
// run by the vitest that comes with them), against the read side. What a stream that only Sluice
// writes cannot have is left out below, by name and with the reason; all else must pass.
import { execFile } from "node:child_process"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { DurableServer } from "../support/conformance/DurableServer.ts"
import { npmClient } from "../support/conformance/npmClient.ts"
import { useServer } from "../support/conformance/server.ts"

const suite = "@durable-streams/server-conformance-tests"
const { folder, missing } = await npmClient({ [suite]: "0.3.6" })
const run = promisify(execFile)

/** Patterns of "group test", and why no read-only stream of text or JSON passes them. */
const excluded: ReadonlyArray<readonly [pattern: string, reason: string]> = [
  ["^Basic Stream Operations", "streams are made by requests, and never deleted by readers"],
  ["^Append Operations", "only workers append"],
  ["^Idempotent Producer|Idempotent Producers with|producer-state", "only workers append"],
  [
    "Sequence Ordering|lexicographic|seq values|seq ordering|sequence ordering",
    "only workers append",
  ],
  ["Concurrent Writer", "only workers append"],
  ["^HTTP Protocol .*(PUT|POST|DELETE|mismatch)", "writing answers 405"],
  ["^Case-Insensitivity|^Content-Type Validation .*append", "of creating and appending"],
  ["^Protocol Edge Cases .*(POST|PUT|Location)", "of creating and appending"],
  ["^JSON Mode .*(reject|PUT with)", "of creating and appending"],
  ["Create with Stream-Closed|Close Operations|409-|close-|delete-", "the request's end closes"],
  ["empty-post-", "of appending"],
  ["TTL|Expires-At", "streams live as long as the log keeps them"],
  ["^Fork", "there are no forks"],
  ["^Reserved subscription", "there are no subscriptions"],
  ["binary|base64|chunk-size pagination", "what a model says is text"],
  ["Byte-Exactness|random operation sequences|read-your-writes: data is", "appends any bytes"],
  ["large payload", "appends 10 MB at once"],
  ["(PUT|POST) responses|CORS preflight", "of creating and appending; CORS is the server's own"],
]

interface Results {
  readonly numPassedTests: number
  readonly testResults: ReadonlyArray<{
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}

const runSuite = async (url: string): Promise<Results> => {
  const runner = `node_modules/${suite}/dist/test-runner.js`
  const config = join(folder, "vitest.config.mjs")
  const results = join(folder, `results-${process.pid}.json`)
  const settings = { include: [runner], exclude: [], testTimeout: 20_000 }
  writeFileSync(config, `export default ${JSON.stringify({ test: settings })}\n`)
  const patterns = excluded.map(([pattern]) => pattern.replace("^", "(?<=^)"))
  const wanted = `^(?!.*(?:${patterns.join("|")}))`
  const args = ["run", "--config", config, "--reporter=json", `--outputFile=${results}`]
  const vitest = join(folder, "node_modules", "vitest", "vitest.mjs")
  const env = { ...process.env, CONFORMANCE_TEST_URL: url }
  const options = { cwd: folder, env, timeout: 150_000, maxBuffer: 1e8 }
  // It ends with 1 where a test fails: the results say which.
  await run(process.execPath, [vitest, ...args, "-t", wanted], options).catch(() => null)
  const said: Results = JSON.parse(readFileSync(results, "utf8"))
  rmSync(results)
  return said
}

describe.skipIf(missing !== null)(
  `Durable Streams${missing === null ? "" : ` (${missing})`}`,
  () => {
    let durable: DurableServer | null = null
    beforeAll(async () => {
      durable = await new DurableServer().start()
    })
    afterAll(async () => {
      await durable?.stop()
    })

    it("passes all that a read-only stream can", async () => {
      const { testResults, numPassedTests } = await runSuite(durable?.url ?? "")
      const failed = testResults
        .flatMap(({ assertionResults }) => assertionResults)
        .filter(({ status }) => status === "failed")
        .map(
          ({ fullName, failureMessages }) => `${fullName}: ${failureMessages[0]?.split("\n")[0]}`,
        )
      assert.deepStrictEqual(failed, [])
      assert.isAtLeast(numPassedTests, 100)
    }, 180_000)
  },
)

it("gives a long stream in parts", async () => {
  const durable = await new DurableServer().start()
  const url = `${durable.url}/long`
  const headers = { "content-type": "text/plain" }
  const parts = Array.from({ length: 8 }, (_, i) => String(i).repeat(300_000))
  await fetch(url, { method: "PUT", headers })
  for (const body of parts) await fetch(url, { method: "POST", headers, body })
  const sizes: Array<number> = []
  let text = ""
  let offset = "-1"
  for (let upToDate = false; !upToDate;) {
    const response = await fetch(`${url}?offset=${offset}`)
    const part = await response.text()
    sizes.push(part.length)
    text += part
    offset = response.headers.get("stream-next-offset") ?? ""
    upToDate = response.headers.get("stream-up-to-date") === "true"
  }
  await durable.stop()
  assert.strictEqual(text, parts.join(""))
  assert.deepStrictEqual(sizes, [1_200_000, 1_200_000, 0])
})

describe("a request as a Durable Stream", () => {
  const server = useServer()

  /** Starts a request and leaves it at once; its id. */
  const startRequest = async (maxTokens: number) => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        messages: [{ role: "user", content: "Go on." }],
        max_tokens: maxTokens,
        stream: true,
      }),
    })
    await response.body?.cancel()
    return response.headers.get("x-request-id") ?? ""
  }

  const wholeOf = async (requestId: string) => {
    const response = await fetch(`${server.url}/v1/requests/${requestId}`)
    const body: { choices: ReadonlyArray<{ text: string }> } = JSON.parse(await response.text())
    return body.choices[0]?.text
  }

  it("is read piece by piece, by waiting, to its end", async () => {
    const requestId = await startRequest(40)
    let offset = "-1"
    let text = ""
    for (let closed = false; !closed;) {
      const query = `offset=${offset}&live=long-poll`
      const response = await fetch(`${server.url}/v1/streams/${requestId}/text?${query}`)
      text += await response.text()
      const next = response.headers.get("stream-next-offset") ?? ""
      assert.isTrue(next >= offset || offset === "-1")
      offset = next
      closed = response.headers.get("stream-closed") === "true"
    }
    assert.strictEqual(text, await wholeOf(requestId))
  })

  it("has the same messages as the request's own events", async () => {
    const requestId = await startRequest(10)
    const events = await (await fetch(`${server.url}/v1/requests/${requestId}/events`)).text()
    const own = [...events.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? ""))
    const live = await fetch(`${server.url}/v1/streams/${requestId}?offset=-1&live=sse`)
    const told = [...(await live.text()).matchAll(/^event: data\ndata:(.*)$/gm)]
    assert.deepStrictEqual(
      told.flatMap(([, data]) => JSON.parse(data ?? "")),
      own,
    )
    const response = await fetch(`${server.url}/v1/streams/${requestId}`)
    assert.deepStrictEqual(JSON.parse(await response.text()), own)
    assert.strictEqual(response.headers.get("stream-closed"), "true")
  })
})
