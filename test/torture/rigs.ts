// What is tortured: a deployment on one data folder, or one on a real Kafka of three brokers.
// Either starts processes, disturbs the log's own servers (Kafka's brokers; a folder has none),
// notes what is committed meanwhile, and gives all of the logs in the end.
import { rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Layer, ManagedRuntime } from "effect"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { groupTimes } from "../../streams/group/consumeGroup.ts"
import { kafkaLog } from "../../streams/kafka/KafkaLog.ts"
import type { Log, LogError } from "../../streams/Log.ts"
import { workerGroup } from "../../streams/topics.ts"
import { FaultProxy } from "../support/FaultProxy.ts"
import type { CheckedLogs, Mark } from "../support/checker/check.ts"
import { readLogs, readMarks } from "../support/checker/readLogs.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"
import { Deployment } from "../support/services/Deployment.ts"
import { KafkaCluster } from "../support/services/KafkaCluster.ts"
import { addresses } from "../support/services/addresses.ts"
import type { Kind } from "./Fleet.ts"
import type { Link } from "./Network.ts"

export interface Rig {
  readonly name: string
  readonly size: { readonly gateways: number; readonly workers: number }
  /** At most; about as long as a process takes to start, so that most run most of the time. */
  readonly faultEveryMs: number
  readonly start: (kind: Kind) => Promise<Sluice>
  /** The processes' ways to the log's servers. */
  readonly links: ReadonlyArray<Link>
  /** Does something to a server of the log; what, or null where there is none. */
  readonly disturb: (below: (count: number) => number) => Promise<string | null>
  /** All of the log's servers run again. */
  readonly calm: () => Promise<void>
  /** Notes what is committed now. */
  readonly look: () => Promise<void>
  /** Everything, when all processes are gone. */
  readonly logs: () => Promise<CheckedLogs>
  readonly close: () => Promise<void>
}

const group = workerGroup("tales-11m", "1")

/** Fast enough to be in the midst of many streams, slow enough for two cores. */
const engine = ["--engine", "scripted", "--scripted-tokens-per-second", "25"]
const readyMsMax = 60_000

const watching = (layer: Layer.Layer<Log, LogError>) => {
  const runtime = ManagedRuntime.make(layer)
  const marks: Array<Mark> = []
  return {
    look: () =>
      runtime.runPromise(readMarks(group)).then(
        (found) => void marks.push(...found),
        // While the log is away there is nothing to be seen.
        () => undefined,
      ),
    logs: () => runtime.runPromise(readLogs(group, marks)),
    close: () => runtime.dispose(),
  }
}

export const embeddedRig = async (): Promise<Rig> => {
  const data = makeDataFolder()
  const flags = (kind: Kind) => (kind === "worker" ? engine : ["--rate-burst", "10000"])
  const start = (kind: Kind) => startSluice({ kind, data, flags: flags(kind), readyMsMax })
  // The first process makes the store.
  const first = await start("worker")
  await first.stop()
  const folder = join(data, "log")
  const options = { folder, mapBytes: 8 * 1024 ** 3, retentionEveryMs: 60_000, groupTimes }
  const watched = watching(embeddedLog(options))
  return {
    name: "embedded",
    size: { gateways: 2, workers: 3 },
    faultEveryMs: 1_200,
    start,
    links: [],
    disturb: () => Promise.resolve(null),
    calm: () => Promise.resolve(),
    look: watched.look,
    logs: watched.logs,
    close: async () => {
      await watched.close()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

const brokerAwayMsMax = 6_000

export const kafkaRig = async (): Promise<Rig> => {
  const proxies = [await FaultProxy.listen(), await FaultProxy.listen(), await FaultProxy.listen()]
  const cluster = await KafkaCluster.start({ nodes: 3, proxies })
  const kafka = proxies.map(({ port }) => `127.0.0.1:${port}`).join(",")
  // Past the proxies, which stand still meanwhile: preparing holds up this process.
  new Deployment({ kafka: cluster.bootstrap }).prepare()
  const deployment = new Deployment({ kafka })
  const brokers = addresses(cluster.bootstrap)
  const watched = watching(kafkaLog({ brokers, clientId: "torture" }))
  let away: Promise<void> = Promise.resolve()
  let isAway = false
  return {
    name: "kafka",
    size: { gateways: 2, workers: 3 },
    faultEveryMs: 6_000,
    links: proxies.map((proxy) => ({ name: "broker link", proxy })),
    start: (kind) => deployment.start(kind, kind === "worker" ? engine : ["--rate-burst", "10000"]),
    disturb: (below) => {
      if (isAway) return Promise.resolve(null)
      isAway = true
      const id = cluster.ids[below(cluster.ids.length)] ?? 1
      away = cluster
        .kill(id)
        .then(() => Effect.runPromise(Effect.sleep(500 + below(brokerAwayMsMax))))
        .then(() => cluster.restart(id))
        .finally(() => {
          isAway = false
        })
      return Promise.resolve("kill broker")
    },
    calm: () => away,
    look: watched.look,
    logs: watched.logs,
    close: async () => {
      await watched.close()
      await deployment.stop()
      for (const proxy of proxies) proxy.close()
      await cluster.stop()
    },
  }
}

/** By the name of the log. */
export const rigs: ReadonlyMap<string, () => Promise<Rig>> = new Map([
  ["embedded", embeddedRig],
  ["kafka", kafkaRig],
])
