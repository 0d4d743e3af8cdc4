// curl, as people paste it: a stream line by line, an error with its status, a resume.
import { execFile, execFileSync } from "node:child_process"
import { assert, describe, it } from "vitest"
import { useServer } from "../support/conformance/server.ts"

const server = useServer()

const hasCurl = (() => {
  try {
    execFileSync("curl", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

const curl = (...args: ReadonlyArray<string>) =>
  new Promise<string>((resolve, reject) => {
    execFile("curl", ["-sS", ...args], { timeout: 20_000 }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    )
  })

const json = ["-H", "content-type: application/json", "-d"]

describe.skipIf(!hasCurl)("curl (needs curl on the path)", () => {
  it("-N shows a stream as server-sent events", async () => {
    const body = JSON.stringify({ prompt: "Once", max_tokens: 5, stream: true })
    const said = await curl("-N", "-D", "-", `${server.url}/v1/completions`, ...json, body)
    assert.match(said, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(said, /\r\nx-request-id: req-[0-9a-f]{32}\r\n/)
    assert.match(said, /id: 6\ndata: \[DONE\]\n\n$/)
    const id = /x-request-id: (\S+)/.exec(said)?.[1] ?? ""
    const rest = await curl("-N", `${server.url}/v1/requests/${id}/events?cursor=4`)
    assert.isTrue(said.endsWith(rest))
    assert.match(rest, /^id: 5\n/)
  })

  it("shows an error with its status", async () => {
    const status = ["-w", "\n%{http_code}"]
    const said = await curl(...status, `${server.url}/v1/completions`, ...json, '{"prompt":}')
    const [body = "", code] = said.split("\n")
    assert.strictEqual(code, "400")
    assert.strictEqual(JSON.parse(body).error.code, "invalid_json")
  })
})
