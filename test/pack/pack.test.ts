// The published package: packed, installed in an empty folder by npm, started there, asked,
// stopped. It needs npm's registry or cache; where neither is at hand the test says so.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { afterAll, beforeAll } from "vitest"
import { projectRoot } from "../support/shared.ts"

const minute = 60_000

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-pack-"))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }), 3 * minute)

const npm = (cwd: string, ...args: ReadonlyArray<string>) =>
  spawnSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd,
    encoding: "utf8",
    timeout: 5 * minute,
  })

/** npm's error codes for a registry that cannot be reached. */
const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|network|ENOTCACHED/

const firstMatch = (
  child: ReturnType<typeof spawn>,
  pattern: RegExp,
): Promise<RegExpExecArray | null> =>
  new Promise((resolve) => {
    let printed = ""
    child.stdout?.on("data", (chunk) => {
      printed += String(chunk)
      const found = pattern.exec(printed)
      if (found !== null) resolve(found)
    })
    child.once("close", () => resolve(null))
  })

describe("the published package", () => {
  it("serves from an empty folder", { timeout: 8 * minute }, async (context) => {
    const packed = npm(projectRoot, "pack", "--pack-destination", folder)
    assert.strictEqual(packed.status, 0, packed.stderr)
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "none"
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n')
    const installed = npm(folder, "install", "--prefer-offline", `./${tarball}`)
    if (installed.status !== 0 && offline.test(installed.stderr)) {
      context.skip("npm's registry cannot be reached and its cache has not all packages")
    }
    assert.strictEqual(installed.status, 0, installed.stderr)
    assert.isFalse(existsSync(join(folder, "node_modules", "vitest")), "no development packages")

    const command = join(folder, "node_modules", ".bin", "sluice")
    const server = spawn(command, ["serve", "--port", "0"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    })
    try {
      const url = (await firstMatch(server, /ready on (http:\/\/\S+)/))?.[1]
      assert.isDefined(url, "it said where it serves")
      const answer = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "tales-11m", prompt: "Once upon a time", max_tokens: 8 }),
      })
      assert.strictEqual(answer.status, 200)
      const body: unknown = await answer.json()
      assert.match(JSON.stringify(body), /"completion_tokens":8/)
      const script =
        'import { SluiceClient } from "sluice/client"\n' +
        `const client = new SluiceClient({ url: "${url}", transport: "websocket" })\n` +
        'console.log(await client.complete({ prompt: "Once", max_tokens: 4, seed: 1 }).text())\n'
      writeFileSync(join(folder, "ask.mjs"), script)
      const said = spawnSync(process.execPath, ["ask.mjs"], { cwd: folder, encoding: "utf8" })
      assert.strictEqual(said.status, 0, said.stderr)
      assert.isAbove(said.stdout.trim().length, 0)
      assert.isTrue(existsSync(join(folder, "data")), "the log is in the folder it was started in")
    } finally {
      const closed = new Promise((resolve) => server.once("close", resolve))
      server.kill("SIGTERM")
      assert.strictEqual(await closed, 0)
    }
  })
})
