// Settings changed while processes run, as an operator does it: by command, for every process on
// the same log, without a restart.
import { spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const data = makeDataFolder()
let gateways: ReadonlyArray<Sluice> = []

beforeAll(async () => {
  gateways = await Promise.all([0, 1].map(() => startSluice({ kind: "gateway", data })))
}, 60_000)

afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()))
  rmSync(data, { recursive: true, force: true })
})

const config = (...args: ReadonlyArray<string>) =>
  new Promise<{ code: number | null; text: string }>((resolve) => {
    const main = join(projectRoot, "src", "cli", "main.ts")
    const child = spawn(process.execPath, [main, "config", ...args, "--data", data])
    let text = ""
    child.stdout.on("data", (chunk) => (text += String(chunk)))
    child.stderr.on("data", (chunk) => (text += String(chunk)))
    child.once("close", (code) => resolve({ code, text }))
  })

const ask = (gateway: Sluice, key?: string) =>
  fetch(`${gateway.url}/v1/models`, {
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
  })

/** From every gateway, asked until a second after the change. */
const everywhere = async (holds: (answer: Response) => boolean, key?: string) => {
  const until = performance.now() + 1000
  for (;;) {
    const answers = await Promise.all(gateways.map((gateway) => ask(gateway, key)))
    if (answers.every(holds)) return
    assert.isBelow(performance.now(), until, `answered ${answers.map(({ status }) => status)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const burstIs = (burst: number) => (answer: Response) =>
  answer.headers.get("x-ratelimit-limit-requests") === String(burst)

describe("sluice config", () => {
  it("set is in force in every process within a second; rollback takes it back", async () => {
    const { code, text } = await config("set", "rate.burst", "321")
    assert.strictEqual(code, 0, text)
    assert.include(text, "rate.burst is 321 from now on, everywhere (was 200)")
    await everywhere(burstIs(321))
    assert.strictEqual((await config("set", "rate.burst", "322")).code, 0)
    await everywhere(burstIs(322))
    assert.include((await config("get", "rate.burst")).text, "rate.burst: 322  # the control log")
    assert.include((await config("rollback", "rate.burst")).text, "rate.burst is 321 again")
    await everywhere(burstIs(321))
    const history = (await config("history", "rate.burst")).text.trim().split("\n")
    assert.deepStrictEqual(
      history.map((line) => line.split(" ").at(-1)),
      ["321", "322", "321"],
    )
  }, 60_000)

  it("refuses what is wrong before it is written", async () => {
    const wrong = await config("set", "rate.burst", "none")
    assert.strictEqual(wrong.code, 1)
    assert.include(wrong.text, "rate.burst must be a whole number from 1 to 1000000")
    const restart = await config("set", "port", "80")
    assert.include(restart.text, "read at a start only")
    assert.strictEqual((await config("set", "rate.burst")).code, 2)
    assert.lengthOf((await config("history", "rate.burst")).text.trim().split("\n"), 3)
  }, 60_000)

  it("changes who may call, and keeps no key that could be used", async () => {
    const keys = JSON.stringify([{ key: "first-secret", tenant: "a", burst: 9 }])
    assert.strictEqual((await config("set", "apiKeys", keys)).code, 0)
    await everywhere(({ status }) => status === 401)
    await everywhere(burstIs(9), "first-secret")
    await everywhere(({ status }) => status === 401, "other-secret")
    const history = (await config("history", "apiKeys")).text
    assert.notInclude(history, "secret")
    assert.include(history, "1 configured")
  }, 60_000)
})
