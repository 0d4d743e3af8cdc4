// A process of Sluice as its users start it: `sluice serve` (or gateway, worker, relay) as a child,
// on a free port, with a data folder of its own that is removed at the end.
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { projectRoot } from "./shared.ts"

export interface SluiceOptions {
  readonly kind?: "serve" | "gateway" | "worker" | "relay"
  readonly flags?: ReadonlyArray<string>
  /** SLUICE_* and others, over those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** To be kept: the folder of an earlier process, for one that takes over. */
  readonly data?: string
  readonly readyMsMax?: number
  /** Of Node itself. */
  readonly nodeFlags?: ReadonlyArray<string>
}

export interface Sluice {
  readonly child: ChildProcess
  readonly data: string
  /** http://127.0.0.1:<port>; empty for a worker. */
  readonly url: string
  readonly port: number
  /** What it has printed so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves when the process has ended, to its exit code or signal. */
  readonly ended: Promise<number | string>
  /** SIGTERM, then waits for the end; removes the data folder unless it was given. */
  readonly stop: () => Promise<number | string>
  /** kill -9, then waits; the data folder stays. */
  readonly kill: () => Promise<void>
}

const started = new Set<ChildProcess>()

// A test that fails half way must leave no server behind.
process.once("exit", () => started.forEach((child) => child.kill("SIGKILL")))

export const makeDataFolder = (): string => mkdtempSync(join(tmpdir(), "sluice-data-"))

/** Resolves when it says that it is ready; rejects with what it printed when it ends first. */
export const startSluice = async (options: SluiceOptions = {}): Promise<Sluice> => {
  const { kind = "serve", flags = [], env = {}, readyMsMax = 30_000, nodeFlags = [] } = options
  const data = options.data ?? makeDataFolder()
  const port = kind === "worker" ? [] : ["--port", "0"]
  const main = join(projectRoot, "src", "cli", "main.ts")
  const child = spawn(
    process.execPath,
    [...nodeFlags, main, kind, ...port, "--data", data, ...flags],
    {
      cwd: projectRoot,
      env: { ...process.env, SLUICE_LOG_LEVEL: "warn", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    },
  )
  started.add(child)
  let stdout = ""
  let stderr = ""
  child.stderr.on("data", (chunk) => (stderr += String(chunk)))
  const ended = new Promise<number | string>((resolve) => {
    child.once("close", (code, signal) => {
      started.delete(child)
      resolve(code ?? signal ?? "unknown")
    })
  })
  const ready = new Promise<string>((resolve, reject) => {
    const failed = (why: string) => reject(new Error(`sluice ${kind} ${why}:\n${stdout}${stderr}`))
    const timer = setTimeout(() => failed(`was not ready after ${readyMsMax} ms`), readyMsMax)
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk)
      const found = /^sluice \w+ is ready(?: on (https?:\S+))?/m.exec(stdout)
      if (found === null) return
      clearTimeout(timer)
      resolve(found[1] ?? "")
    })
    void ended.then((code) => {
      clearTimeout(timer)
      failed(`ended with ${code}`)
    })
  })
  const url = await ready.catch((error: unknown) => {
    child.kill("SIGKILL")
    throw error
  })
  return {
    child,
    data,
    url,
    port: url === "" ? 0 : Number(new URL(url).port),
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    stop: async () => {
      child.kill("SIGTERM")
      const code = await ended
      if (options.data === undefined) rmSync(data, { recursive: true, force: true })
      return code
    },
    kill: async () => {
      child.kill("SIGKILL")
      await ended
    },
  }
}
