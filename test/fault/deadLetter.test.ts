// A request whose worker dies each time before its first token, with processes and kill -9: its
// client is told, an operator finds it and sends it again, and what nobody takes at all expires.
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, describe, it } from "vitest"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const data = makeDataFolder()
const running: Array<Sluice> = []

const start = async (kind: "gateway" | "worker", flags: ReadonlyArray<string> = []) => {
  const sluice = await startSluice({ kind, data, flags })
  running.push(sluice)
  return sluice
}

afterAll(async () => {
  await Promise.all(running.map(({ child, stop }) => (child.exitCode === null ? stop() : null)))
  rmSync(data, { recursive: true, force: true })
}, 30_000)

const cli = (...args: ReadonlyArray<string>) => {
  const main = join(projectRoot, "src", "cli", "main.ts")
  const all = [main, "dead-letters", ...args, "--data", data]
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: "utf8" })
  assert.strictEqual(status, 0, stderr)
  return stdout
}

interface View {
  readonly status: string
  readonly attempt: number
  readonly error: { readonly code: string } | null
}

const view = async (url: string, id: string): Promise<View> =>
  (await (await fetch(`${url}/v1/requests/${id}`)).json()) as View

const until = async (url: string, id: string, isSo: (seen: View) => boolean): Promise<View> => {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(20)) {
    const seen = await view(url, id)
    if (isSo(seen)) return seen
  }
  throw new Error(`in vain: ${JSON.stringify(await view(url, id))}`)
}

const ask = (url: string, body: object) =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "my secret wish", max_tokens: 3, ...body }),
  })

const slow = ["--engine", "scripted", "--scripted-tokens-per-second", "1"]

describe("a request that kills its workers", () => {
  it("becomes a dead letter, and can be sent again", { timeout: 120_000 }, async () => {
    const { url } = await start("gateway")
    const answer = await ask(url, { stream: true })
    const id = answer.headers.get("x-request-id") ?? ""
    for (let attempt = 1; attempt <= 2; attempt++) {
      const worker = await start("worker", [...slow, "--worker-claims-max", "2"])
      await until(url, id, (seen) => seen.attempt === attempt)
      await worker.kill()
    }
    await start("worker", ["--engine", "scripted", "--worker-claims-max", "2"])
    const dead = await until(url, id, ({ status }) => status === "deadLettered")
    assert.strictEqual(dead.error?.code, "dead_lettered")
    assert.include(await answer.text(), `"code":"dead_lettered"`)
    assert.match(cli("list"), new RegExp(`${id} +tales-11m 1 default +2 +attempts_exhausted`))
    const shown = cli("show", id)
    assert.match(shown, /^claims +2$/m)
    assert.notInclude(shown, "secret")
    assert.include(cli("show", id, "--prompts"), "my secret wish")
    const again = cli("replay", id).trim().split(" ").at(-1) ?? ""
    const replayed = await until(url, again, ({ status }) => status === "finished")
    assert.strictEqual(replayed.attempt, 1)
  })
})

describe("a request that no worker takes", () => {
  it("expires all the same, soon after its deadline", { timeout: 60_000 }, async () => {
    const other = ["--served-model-name", "another"]
    const { url } = await start("gateway", other)
    const askedAt = performance.now()
    const answer = await ask(url, { stream: true, request_timeout: 1 })
    const text = await answer.text()
    assert.isBelow(performance.now() - askedAt, 11_000)
    assert.match(text, /^id: 1\ndata: .*"code":"deadline_exceeded"/)
    const seen = await view(url, answer.headers.get("x-request-id") ?? "")
    assert.strictEqual(seen.status, "expired")
  })
})
