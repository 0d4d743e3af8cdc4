// A real Prometheus that scrapes given targets each second, for tests that ask it what a board
// would ask.
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePorts, startChild, stopChild, untilReady } from "./children.ts"
import { prometheusTool } from "./tools.ts"

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [time: number, value: string]
}

export class Prometheus {
  readonly #folder: string
  readonly #url: string
  readonly #child: ChildProcess

  private constructor(folder: string, url: string, child: ChildProcess) {
    this.#folder = folder
    this.#url = url
    this.#child = child
  }

  /** `targets` are URLs of processes; their /metrics are scraped. */
  static async start(targets: ReadonlyArray<string>): Promise<Prometheus> {
    const file = await prometheusTool("prometheus")
    const folder = mkdtempSync(join(tmpdir(), "sluice-prometheus-"))
    const [port = 0] = await freePorts(1)
    const hosts = targets.map((target) => `"${new URL(target).host}"`).join(", ")
    writeFileSync(
      join(folder, "prometheus.yml"),
      `global: { scrape_interval: 1s }\nscrape_configs:\n` +
        `  - { job_name: sluice, static_configs: [{ targets: [${hosts}] }] }\n`,
    )
    const log = join(folder, "log")
    const args = [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]
    const child = startChild({ file, args, log })
    const url = `http://127.0.0.1:${port}`
    const isReady = () =>
      fetch(`${url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    await untilReady(child, log, isReady)
    const prometheus = new Prometheus(folder, url, child)
    // It learns of its targets some seconds after it answers.
    while ((await prometheus.query("up")).length < targets.length) {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    return prometheus
  }

  /** Throws with Prometheus' own words where the query is wrong. */
  async query(expression: string): Promise<ReadonlyArray<Sample>> {
    const url = `${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`
    const answer = JSON.parse(await (await fetch(url)).text())
    if (answer.status !== "success") throw new Error(`${expression}: ${answer.error}`)
    return answer.data.result
  }

  async stop(): Promise<void> {
    await stopChild(this.#child)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
