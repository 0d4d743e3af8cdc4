// The commands as a person meets them: exit codes, sentences instead of stack traces, and processes
// that start, say where they are, and leave when asked.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { projectRoot } from "../support/shared.ts"
import { makeDataFolder, startSluice } from "../support/server.ts"

const main = join(projectRoot, "src", "cli", "main.ts")

const sluice = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    timeout: 30_000,
    env: { ...process.env, ...env },
    cwd: projectRoot,
  })
  return { code: status, stdout, stderr }
}

const noStack = (text: string) => assert.notMatch(text, /^\s+at /m)

describe("sluice", () => {
  it("alone, or asked for help, says what there is", () => {
    for (const args of [[], ["--help"], ["help"]]) {
      const { code, stdout } = sluice(args)
      assert.strictEqual(code, 0)
      assert.match(stdout, /Commands:\n {2}serve/)
    }
    assert.match(sluice(["--version"]).stdout, /^\d+\.\d+\.\d+\n$/)
  })

  it("names what it does not know, and leaves with 2", () => {
    const command = sluice(["sevre"])
    assert.strictEqual(command.code, 2)
    assert.include(command.stderr, 'did you mean "serve"?')
    const flag = sluice(["serve", "--prot", "1"])
    assert.strictEqual(flag.code, 2)
    assert.include(flag.stderr, 'did you mean "port"?')
    const value = sluice(["config"], { SLUICE_PORT: "many" })
    assert.strictEqual(value.code, 2)
    assert.include(value.stderr, "SLUICE_PORT: port must be a whole number from 0 to 65535")
    noStack(command.stderr + flag.stderr + value.stderr)
  })

  it("config prints a file that it would take back", () => {
    const folder = makeDataFolder()
    const first = sluice(["config", "--port", "9000"])
    const file = join(folder, "sluice.yaml")
    writeFileSync(file, first.stdout)
    const second = sluice(["config", "--config", file])
    assert.strictEqual(second.code, 0, second.stderr)
    const values = (text: string) => text.replace(/ +# .*$/gm, "")
    assert.strictEqual(values(second.stdout), values(first.stdout))
    assert.match(second.stdout, /^port: 9000 +# \S+sluice\.yaml:\d+$/m)
    rmSync(folder, { recursive: true })
  })
})

describe("what keeps a server from starting is one sentence and exit code 1", () => {
  it("a port in use", async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve))
    const address = holder.address()
    const port = typeof address === "object" && address !== null ? String(address.port) : ""
    const data = makeDataFolder()
    const { code, stderr } = sluice([
      "serve",
      "--engine",
      "scripted",
      "--port",
      port,
      "--data",
      data,
    ])
    holder.close()
    rmSync(data, { recursive: true })
    assert.strictEqual(code, 1)
    assert.include(stderr, `127.0.0.1:${port} is in use by another process`)
    noStack(stderr)
  })

  it.runIf(existsSync("/proc"))("a data folder where the system makes none (needs /proc)", () => {
    const { code, stderr } = sluice(["serve", "--data", "/proc/sluice", "--port", "0"])
    assert.strictEqual(code, 1)
    assert.match(stderr, /^sluice: the data folder \/proc\/sluice cannot be written .*--data\.\n$/)
  })

  it("a data folder that cannot be written", () => {
    const folder = makeDataFolder()
    const file = join(folder, "file")
    writeFileSync(file, "")
    const { code, stderr } = sluice(["serve", "--engine", "scripted", "--data", join(file, "data")])
    assert.strictEqual(code, 1)
    assert.match(stderr, /^sluice: the data folder .* cannot be written .*--data\.\n$/)
    // A superuser may write everywhere.
    if (process.getuid?.() !== 0) {
      const closed = join(folder, "closed")
      mkdirSync(closed, { mode: 0o500 })
      const second = sluice(["serve", "--engine", "scripted", "--data", join(closed, "data")])
      assert.match(second.stderr, /cannot be written/)
    }
    rmSync(folder, { recursive: true })
  })

  it("a model folder that is none", () => {
    const missing = sluice(["serve", "--model", "no/such/folder"])
    assert.strictEqual(missing.code, 1)
    assert.match(missing.stderr, /^sluice: the model folder .*no\/such\/folder does not exist/)
    const wrong = sluice(["serve", "--model", "test"])
    assert.strictEqual(wrong.code, 1)
    assert.match(wrong.stderr, /config\.json is missing/)
    noStack(missing.stderr + wrong.stderr)
  })

  it("an address that anybody could reach, without keys", () => {
    const data = makeDataFolder()
    const args = ["serve", "--engine", "scripted", "--host", "0.0.0.0", "--port", "0"]
    const { code, stderr } = sluice([...args, "--data", data])
    rmSync(data, { recursive: true })
    assert.strictEqual(code, 1)
    assert.match(stderr, /without API keys/)
    noStack(stderr)
  })
})

const scripted = ["--engine", "scripted", "--scripted-tokens-per-second", "50"]

const complete = (url: string, fields: Readonly<Record<string, unknown>>) =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tales-11m", prompt: "Once", ignore_eos: true, ...fields }),
  })

describe("a running server", () => {
  it("prints a curl line that works as pasted", async () => {
    const server = await startSluice({ flags: scripted })
    const line = /^ {2}(curl .*)$/m.exec(server.stdout())?.[1] ?? ""
    const curl = spawnSync("bash", ["-c", line.replace('"max_tokens":120', '"max_tokens":5')], {
      encoding: "utf8",
      timeout: 20_000,
    })
    assert.match(curl.stdout, /^data: \[DONE\]$/m)
    assert.strictEqual(await server.stop(), 0)
    assert.isFalse(existsSync(server.data))
  })

  it("lets a running answer end when it is asked to stop, and leaves with 0", async () => {
    const server = await startSluice({ flags: [...scripted, "--worker-drain-ms", "20s"] })
    const answer = complete(server.url, { max_tokens: 30 })
    await new Promise((resolve) => setTimeout(resolve, 200))
    const code = server.stop()
    const response = await answer
    assert.strictEqual(response.status, 200)
    assert.include(await response.text(), '"completion_tokens":30')
    assert.strictEqual(await code, 0)
  })

  it("leaves at once with 130 when Ctrl-C comes twice", async () => {
    const server = await startSluice({ flags: [...scripted, "--worker-drain-ms", "20s"] })
    const answer = complete(server.url, { max_tokens: 900 }).catch(() => null)
    await new Promise((resolve) => setTimeout(resolve, 200))
    server.child.kill("SIGINT")
    await new Promise((resolve) => setTimeout(resolve, 700))
    server.child.kill("SIGINT")
    assert.strictEqual(await server.ended, 130)
    await answer
    rmSync(server.data, { recursive: true, force: true })
  })

  it("as gateway, worker and relay on one data folder answers and resumes", async () => {
    const data = makeDataFolder()
    const gateway = await startSluice({ kind: "gateway", data })
    const worker = await startSluice({ kind: "worker", data, flags: scripted })
    const relay = await startSluice({ kind: "relay", data })
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const response = await complete(gateway.url, { max_tokens: 10, stream: true })
    const whole = await response.text()
    const id = response.headers.get("x-request-id") ?? ""
    const resumed = await (await fetch(`${relay.url}/v1/requests/${id}/events?cursor=4`)).text()
    const frames = (text: string) => text.split("\n").filter((line) => line.startsWith("data: "))
    assert.deepStrictEqual(frames(resumed), frames(whole).slice(4))
    assert.strictEqual((await complete(relay.url, {})).status, 404)
    const codes = [await relay.stop(), await worker.stop(), await gateway.stop()]
    assert.deepStrictEqual(codes, [0, 0, 0])
    rmSync(data, { recursive: true, force: true })
  })
})

describe("the bin", () => {
  it("runs the command from an older Node too", { timeout: 60_000 }, (context) => {
    const found = spawnSync("bash", ["-c", "type -ap node"], { encoding: "utf8" })
    const older = found.stdout
      .split("\n")
      .filter((path) => path !== "" && !path.includes("node_modules"))
      .find((path) => /^v2[0-2]\./.test(spawnSync(path, ["-v"], { encoding: "utf8" }).stdout))
    if (older === undefined) context.skip("there is no older Node on the PATH")
    const bin = join(projectRoot, "ops", "setup", "sluice.mjs")
    const run = spawn(String(older), [bin, "--version"], { stdio: ["ignore", "pipe", "inherit"] })
    let printed = ""
    run.stdout.on("data", (chunk) => (printed += String(chunk)))
    return new Promise<void>((resolve) => {
      run.once("close", (code) => {
        assert.strictEqual(code, 0)
        assert.match(printed, /^\d+\.\d+\.\d+\n$/)
        resolve()
      })
    })
  })
})
