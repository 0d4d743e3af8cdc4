// Sluice as it is deployed: topics applied, schemas registered, and any number of gateways, workers
// and relays as processes of their own on a Kafka, each started, killed and stopped by itself.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { projectRoot } from "../shared.ts"
import { type Sluice, startSluice } from "../server.ts"
import { commandOf, sluiceSettings } from "./composeFile.ts"

export interface DeploymentOptions {
  readonly kafka: string
  readonly registry?: string
  readonly redis?: string
  /** More flags of every process. */
  readonly flags?: ReadonlyArray<string>
}

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** With the settings of docker-compose.yml; where the servers are is said by flags. */
export const runCli = (args: ReadonlyArray<string>): Ran => {
  const main = join(projectRoot, "src", "cli", "main.ts")
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, ...sluiceSettings() },
  })
  return { code: status, out: stdout, err: stderr }
}

export class Deployment {
  readonly #options: DeploymentOptions
  readonly #running = new Set<Sluice>()

  constructor(options: DeploymentOptions) {
    this.#options = options
  }

  get servers(): ReadonlyArray<string> {
    const { kafka, registry = "none" } = this.#options
    return ["--kafka", kafka, "--registry", registry]
  }

  /** What an operator does once: the steps of docker-compose.yml. */
  prepare(): void {
    for (const step of [commandOf("topics"), commandOf("schemas")]) {
      if (step[0] === "schemas" && this.#options.registry === undefined) continue
      const { code, err } = runCli([...step, ...this.servers])
      if (code !== 0) throw new Error(`sluice ${step.join(" ")}: ${err}`)
    }
  }

  async start(
    kind: "gateway" | "worker" | "relay",
    flags: ReadonlyArray<string> = [],
  ): Promise<Sluice> {
    const { redis } = this.#options
    const limits = redis === undefined || kind === "worker" ? [] : ["--redis", redis]
    const all = [...this.servers, ...limits, ...(this.#options.flags ?? []), ...flags]
    const env = sluiceSettings()
    const sluice = await startSluice({ kind, flags: all, env, readyMsMax: 60_000 })
    this.#running.add(sluice)
    void sluice.ended.then(() => this.#running.delete(sluice))
    return sluice
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running].map((sluice) => sluice.stop()))
  }
}
