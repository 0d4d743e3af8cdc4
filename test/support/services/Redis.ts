// A real Redis for tests, on a free port, that keeps nothing on disk.
import { type ChildProcess, execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  freePorts,
  isOpen,
  isRunning,
  killChild,
  startChild,
  stopChild,
  untilReady,
} from "./children.ts"

/** Why Redis cannot run here; null: it can. */
export const redisMissing = (): string | null => {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" })
    return null
  } catch {
    return "it needs Redis (apt-get install redis-server)"
  }
}

export class Redis {
  readonly url: string
  readonly #folder: string
  readonly #port: number
  #child: ChildProcess | null = null

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.#port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  static async start(): Promise<Redis> {
    const [port = 0] = await freePorts(1)
    const redis = new Redis(mkdtempSync(join(tmpdir(), "sluice-redis-")), port)
    await redis.restart()
    return redis
  }

  async restart(): Promise<void> {
    if (isRunning(this.#child)) return
    const log = join(this.#folder, "log")
    const args = ["--port", `${this.#port}`, "--bind", "127.0.0.1", "--dir", this.#folder]
    this.#child = startChild({
      file: "redis-server",
      args: [...args, "--save", "", "--appendonly", "no", "--maxmemory", "64mb"],
      log,
    })
    await untilReady(this.#child, log, () => isOpen(this.#port))
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await killChild(this.#child)
  }

  /** SIGSTOP: it holds its connections and answers nothing. */
  freeze(): void {
    this.#child?.kill("SIGSTOP")
  }

  thaw(): void {
    this.#child?.kill("SIGCONT")
  }

  async stop(): Promise<void> {
    await stopChild(this.#child)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
