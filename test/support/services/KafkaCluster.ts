// A real Kafka in KRaft mode for tests: one node, or three with replication 3 and min.insync 2, on
// free ports of this machine, with data in a temporary folder. Each node can be killed, frozen,
// thawed and started again on its data.
import type { ChildProcess } from "node:child_process"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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
import { brokerSettings } from "./composeFile.ts"
import { classArchive, javaFlags, kafkaDist, kafkaTemplate } from "./javaDist.ts"

interface Node {
  readonly id: number
  readonly port: number
  readonly folder: string
  child: ChildProcess | null
}

/** Leads to `target`, whatever it does on the way. */
export interface BrokerProxy {
  readonly port: number
  target: number
}

export interface KafkaClusterOptions {
  readonly nodes: 1 | 3
  /** In front of each node: who begins at one of them stays behind them. */
  readonly proxies?: ReadonlyArray<BrokerProxy>
  /** Compiled as operators run it: starts later, and needs less for what it does. */
  readonly optimized?: boolean
  /** More server properties, or others than ours. */
  readonly properties?: Readonly<Record<string, string>>
}

const clusterId = "c2x1aWNlLWthZmthLTAwMQ"

/** As operators run it, but for what is this machine's, or only there to make tests fast. */
const properties = (node: Node, nodes: number, voters: string): Record<string, string> => {
  const controller = voters.split(",")[node.id - 1]?.split("@")[1] ?? ""
  return {
    ...brokerSettings(),
    ...(nodes >= 3 ? copies : {}),
    "node.id": `${node.id}`,
    "controller.quorum.voters": voters,
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://${controller}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${node.port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": join(node.folder, "data"),
    ...haste,
  }
}

const copies = {
  "default.replication.factor": "3",
  "min.insync.replicas": "2",
  "offsets.topic.replication.factor": "3",
  "transaction.state.log.replication.factor": "3",
  "transaction.state.log.min.isr": "2",
  "share.coordinator.state.topic.replication.factor": "3",
  "share.coordinator.state.topic.min.isr": "2",
}

/** Small, and quick to clean up; failures are noticed within 3 s, 9 s by default. */
const haste = {
  "num.network.threads": "2",
  "num.io.threads": "2",
  "num.recovery.threads.per.data.dir": "1",
  "log.index.size.max.bytes": "262144",
  "log.cleaner.dedupe.buffer.size": "4194304",
  "log.cleaner.backoff.ms": "200",
  "log.retention.check.interval.ms": "200",
  "log.initial.task.delay.ms": "200",
  "log.segment.delete.delay.ms": "100",
  "broker.session.timeout.ms": "3000",
  "broker.heartbeat.interval.ms": "500",
  "controller.quorum.election.timeout.ms": "500",
  "controller.quorum.fetch.timeout.ms": "1000",
}

/** Whoever comes to it is told to come to another port, where a proxy leads back to it. */
const addListener = (all: Record<string, string>, port: number, proxyPort: number): void => {
  all["listeners"] += `,PROXIED://127.0.0.1:${port}`
  all["advertised.listeners"] += `,PROXIED://127.0.0.1:${proxyPort}`
  all["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
}

export class KafkaCluster {
  readonly #nodes: ReadonlyArray<Node>
  readonly #dist: string
  readonly #folder: string

  readonly #isOptimized: boolean

  private constructor(
    places: { readonly dist: string; readonly folder: string },
    nodes: ReadonlyArray<Node>,
    isOptimized: boolean,
  ) {
    this.#dist = places.dist
    this.#folder = places.folder
    this.#nodes = nodes
    this.#isOptimized = isOptimized
  }

  static async start(options: KafkaClusterOptions): Promise<KafkaCluster> {
    const dist = await kafkaDist()
    const folder = mkdtempSync(join(tmpdir(), "sluice-kafka-"))
    const ports = await freePorts(options.nodes * 3)
    const { proxies = [] } = options
    const nodes = Array.from({ length: options.nodes }, (_, index): Node => {
      const home = join(folder, `${index + 1}`)
      mkdirSync(home)
      return { id: index + 1, port: ports[index * 2] ?? 0, folder: home, child: null }
    })
    const voters = nodes.map(({ id }) => `${id}@127.0.0.1:${ports[id * 2 - 1]}`).join(",")
    for (const node of nodes) {
      const all = { ...properties(node, nodes.length, voters), ...options.properties }
      const proxy = proxies[node.id - 1]
      if (proxy !== undefined) {
        proxy.target = ports.at(-node.id) ?? 0
        addListener(all, proxy.target, proxy.port)
      }
      const lines = Object.entries(all).map(([name, value]) => `${name}=${value}`)
      writeFileSync(join(node.folder, "server.properties"), lines.join("\n"))
    }
    const cluster = new KafkaCluster({ dist, folder }, nodes, options.optimized === true)
    await cluster.#format()
    for (const { id } of nodes) cluster.#launch(id)
    await Promise.all(nodes.map((node) => cluster.#untilUp(node)))
    return cluster
  }

  /** host:port of every node. */
  get bootstrap(): string {
    return this.#nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")
  }

  get ids(): ReadonlyArray<number> {
    return this.#nodes.map(({ id }) => id)
  }

  pid(id: number): number {
    return this.#node(id).child?.pid ?? 0
  }

  isUp(id: number): boolean {
    return isRunning(this.#node(id).child)
  }

  /** kill -9. */
  async kill(id: number): Promise<void> {
    await killChild(this.#node(id).child)
  }

  /** SIGSTOP: it holds its connections and answers nothing. */
  freeze(id: number): void {
    this.#node(id).child?.kill("SIGSTOP")
  }

  thaw(id: number): void {
    this.#node(id).child?.kill("SIGCONT")
  }

  /** Starts a node again on its data. */
  async restart(id: number): Promise<void> {
    const node = this.#node(id)
    if (isRunning(node.child)) return
    this.#launch(id)
    await this.#untilUp(node)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map(({ child }) => stopChild(child)))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #node(id: number): Node {
    const node = this.#nodes[id - 1]
    if (node === undefined) throw new Error(`there is no node ${id}`)
    return node
  }

  #java(...args: ReadonlyArray<string>): ReadonlyArray<string> {
    const logging = `-Dlog4j2.configurationFile=${join(this.#dist, "log4j2.properties")}`
    return [...javaFlags, logging, "-cp", join(this.#dist, "libs", "*"), ...args]
  }

  async #format(): Promise<void> {
    const first = this.#node(1)
    const template = await kafkaTemplate(this.#dist, (folder) => {
      const format = ["format", "--ignore-formatted", "-t", clusterId, "-c"]
      const file = join(first.folder, "server.properties")
      const args = this.#java("kafka.tools.StorageTool", ...format, file)
      execFileSync("java", args, { stdio: ["ignore", "ignore", 2] })
      cpSync(join(first.folder, "data"), folder, { recursive: true })
    })
    for (const { id, folder } of this.#nodes) {
      const data = join(folder, "data")
      cpSync(template, data, { recursive: true })
      const file = join(data, "meta.properties")
      const text = readFileSync(file, "utf8")
        .replace(/^node\.id=.*$/m, `node.id=${id}`)
        .replace(
          /^directory\.id=.*$/m,
          `directory.id=A${randomBytes(16).toString("base64url").slice(1)}`,
        )
      writeFileSync(file, text)
    }
  }

  #launch(id: number): void {
    const node = this.#node(id)
    const optimized = ["-XX:TieredStopAtLevel=4", "-Xmx512m"]
    const flags = [...javaFlags, ...(this.#isOptimized ? optimized : classArchive(this.#dist))]
    const rest = this.#java("kafka.Kafka", join(node.folder, "server.properties"))
    node.child = startChild({
      file: "java",
      args: [...flags, ...rest.slice(javaFlags.length)],
      env: { LOG_DIR: node.folder },
      log: join(node.folder, "log"),
    })
  }

  /** The client port is opened only once the node is let into the cluster. */
  async #untilUp({ child, folder, port }: Node): Promise<void> {
    if (child !== null) await untilReady(child, join(folder, "log"), () => isOpen(port))
  }
}
