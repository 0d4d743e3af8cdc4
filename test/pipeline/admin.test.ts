// The administrators' server over real HTTP: probes that mean something, metrics that moved away
// from the clients' port, and /admin behind a key of its own.
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Sluice, startSluice } from "../support/server.ts"

const adminUrl = (server: Sluice) => /^ {2}admin {2}(http:\S+)$/m.exec(server.stdout())?.[1] ?? ""

describe("the administrators' server", () => {
  let server: Sluice
  let url = ""
  beforeAll(async () => {
    server = await startSluice({
      flags: ["--engine", "scripted"],
      env: { SLUICE_ADMIN_LISTEN: "127.0.0.1:0", SLUICE_ADMIN_KEYS: "an-admins-key" },
    })
    url = adminUrl(server)
  })
  afterAll(() => server.stop())

  it("says that the process lives and can do its work", async () => {
    for (const path of ["/live", "/health", "/ready"]) {
      const answer = await fetch(url + path)
      assert.strictEqual(answer.status, 200, path)
      assert.deepStrictEqual(await answer.json(), { status: "ok" })
    }
  })

  it("has the metrics, and the clients' port has none", async () => {
    const text = await (await fetch(`${url}/metrics`)).text()
    assert.match(text, /^# TYPE llm_requests_total counter$/m)
    assert.strictEqual((await fetch(`${server.url}/metrics`)).status, 404)
  })

  it("wants an administrator's key for /admin, and knows few paths", async () => {
    const ask = async (path: string, key: string, method = "GET") => {
      const headers = { authorization: `Bearer ${key}` }
      return (await fetch(url + path, { method, headers })).status
    }
    assert.strictEqual(await ask("/admin/status", "a-clients-key"), 401)
    assert.strictEqual(await ask("/admin/status", "an-admins-key"), 200)
    assert.strictEqual(await ask("/admin/anything", "an-admins-key"), 404)
    assert.strictEqual(await ask("/admin/status", "an-admins-key", "POST"), 405)
    assert.strictEqual(await ask("/v1/completions", "an-admins-key"), 404)
  })
})

it("a worker has one too", async () => {
  const env = { SLUICE_ADMIN_LISTEN: "127.0.0.1:0" }
  const worker = await startSluice({ kind: "worker", flags: ["--engine", "scripted"], env })
  try {
    const url = adminUrl(worker)
    const status: unknown = await (await fetch(`${url}/admin/status`)).json()
    assert.deepInclude(status, { kind: "worker", live: "ok", ready: "ok" })
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^sluice_kv_blocks\{model=/m)
  } finally {
    await worker.stop()
  }
})
