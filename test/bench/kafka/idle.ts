// What a worker, a gateway and a relay cost while nobody asks anything.
import { Deployment } from "../../support/services/Deployment.ts"
import type { KafkaCluster } from "../../support/services/KafkaCluster.ts"
import { coresOf } from "../cpuSeconds.ts"
import type { BenchOptions, BenchResult } from "../main.ts"

export const measureIdle = async (
  cluster: KafkaCluster,
  { small }: BenchOptions,
): Promise<BenchResult> => {
  const deployment = new Deployment({ kafka: cluster.bootstrap })
  deployment.prepare()
  const kinds = ["worker", "gateway", "relay"] as const
  const measured: Record<string, number> = {}
  const processes = []
  for (const kind of kinds) {
    processes.push(await deployment.start(kind, kind === "worker" ? ["--engine", "scripted"] : []))
  }
  await new Promise((resolve) => setTimeout(resolve, small ? 1000 : 5000))
  const cores = await Promise.all(
    processes.map(({ child }) => coresOf(child.pid ?? 0, small ? 2000 : 30_000)),
  )
  for (const [index, kind] of kinds.entries()) {
    measured[`${kind}.coreShare`] = Number((cores[index] ?? Number.NaN).toFixed(4))
  }
  await deployment.stop()
  return measured
}
