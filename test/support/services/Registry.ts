// A real schema registry for tests: Apicurio, which speaks Confluent's API, on a free port. It
// keeps its schemas in Kafka where a cluster is given, else in memory.
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freePorts, isRunning, killChild, startChild, stopChild, untilReady } from "./children.ts"
import { apicurioDist, classArchive, javaFlags, runnerJar } from "./javaDist.ts"

export class Registry {
  readonly url: string
  readonly #dist: string
  readonly #folder: string
  readonly #port: number
  readonly #kafka: string | null
  #child: ChildProcess | null = null

  private constructor(dist: string, folder: string, port: number, kafka: string | null) {
    this.#dist = dist
    this.#folder = folder
    this.#port = port
    this.#kafka = kafka
    this.url = `http://127.0.0.1:${port}/apis/ccompat/v7`
  }

  static async start(kafka: string | null = null): Promise<Registry> {
    const dist = await apicurioDist()
    const folder = mkdtempSync(join(tmpdir(), "sluice-registry-"))
    const [port = 0] = await freePorts(1)
    const registry = new Registry(dist, folder, port, kafka)
    await registry.restart()
    return registry
  }

  async restart(): Promise<void> {
    if (isRunning(this.#child)) return
    const storage =
      this.#kafka === null
        ? []
        : [
            "-Dapicurio.storage.kind=kafkasql",
            `-Dapicurio.kafkasql.bootstrap.servers=${this.#kafka}`,
          ]
    const log = join(this.#folder, "log")
    this.#child = startChild({
      file: "java",
      args: [
        ...javaFlags,
        ...classArchive(this.#dist),
        ...storage,
        "-Dquarkus.http.host=127.0.0.1",
        `-Dquarkus.http.port=${this.#port}`,
        "-Dquarkus.management.enabled=false",
        "-Dquarkus.http.access-log.enabled=false",
        "-jar",
        runnerJar(this.#dist),
      ],
      cwd: this.#folder,
      log,
    })
    await untilReady(this.#child, log, () => answers(`${this.url}/subjects`))
    // It answers a moment before it has read what it stored.
    if (this.#kafka !== null) await sleep(500)
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await killChild(this.#child)
  }

  async stop(): Promise<void> {
    await stopChild(this.#child)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const answers = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}
