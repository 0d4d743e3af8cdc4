// OpenAI's own client for Python, unmodified, in a virtual environment under .cache that the first
// run makes. Its stream parser dispatches at every blank line once it saw an id, so heartbeats come
// often.
import { execFile } from "node:child_process"
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const version = "3.54.0"
const folder = join(projectRoot, ".cache", `openai-python-${version}`)
const python = join(folder, "bin", "python")
const run = promisify(execFile)

/** null once the client is there; otherwise why it cannot be. */
const install = async (): Promise<string | null> => {
  const works = () =>
    run(python, ["-c", "import openai, websockets"]).then(
      () => true,
      () => false,
    )
  if (existsSync(python) && (await works())) return null
  try {
    rmSync(folder, { recursive: true, force: true })
    await run("python3", ["-m", "venv", folder])
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    await run(python, [...pip, `openai[realtime]==${version}`], { timeout: 120_000 })
    return null
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    const text = error instanceof Error ? error.message : String(error)
    return `pip cannot install openai ${version} here: ${text.trim().split("\n").at(-1)}`
  }
}

const missing = await install()

describe.skipIf(missing !== null).each(["comment", "event"])(
  `openai for Python${missing === null ? "" : ` (${missing})`}, heartbeats: %s`,
  (mode) => {
    let server: Sluice | null = null
    beforeAll(async () => {
      server = await startSluice({
        flags: ["--engine", "scripted"],
        env: {
          SLUICE_SCRIPTED_TOKENS_PER_SECOND: "10",
          SLUICE_HEARTBEAT_EVERY_MS: "100",
          SLUICE_HEARTBEAT_MODE: mode,
        },
      })
    })
    afterAll(async () => {
      await server?.stop()
    })

    it("reads answers, streams with heartbeats between their events, and errors", async () => {
      const script = join(projectRoot, "test", "conformance", "openai_client.py")
      const { stdout } = await run(python, [script, server?.url ?? ""], { timeout: 90_000 })
      const said = JSON.parse(stdout)
      assert.strictEqual(said.tokens, 30)
      assert.strictEqual(said.streamed, said.text)
      assert.strictEqual(said.streamed_tokens, 30)
      assert.strictEqual(said.choices, 2)
      assert.deepStrictEqual(said.logprobs, [30, 30])
      assert.deepStrictEqual(said.chat_streamed, said.chat)
      assert.strictEqual(said.not_found, "model_not_found")
      assert.strictEqual(said.in_stream, "request_cancelled")
      const held = { numbers: true, resumed: true, response: true, helper: true, socket: true }
      assert.deepInclude(said, { ...held, cancelled: "cancelled" })
      assert.strictEqual(said.repeated > 0, mode === "event")
    }, 120_000)
  },
)
