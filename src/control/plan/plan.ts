// How many GPUs a load needs, what latency to expect and what it costs, from a measured rate. Pure.
// It plans for a share of what was measured, because a server without a reserve has no bounded
// queue; and it says what does not fit instead of rounding it away.
import type { EngineRate, Gpu } from "./rates.ts"

export interface Load {
  readonly requestsPerSecond: number
  readonly promptTokens: number
  readonly outputTokens: number
  /** The share of the measured rate that is planned for, below or at 1. */
  readonly utilisation: number
}

export interface Plan {
  readonly requestsPerSecondOfReplica: number
  readonly replicas: number
  readonly gpus: number
  readonly batch: number
  readonly kvBytesOfReplica: number
  readonly memoryBytesOfReplica: number
  readonly fits: boolean
  /** Of a whole answer, at a full batch; the p99 with the wait for a place in one. */
  readonly answerSeconds: number
  readonly answerSecondsP99: number
  readonly tokensAMonth: number
  readonly costAMonth: number | null
  readonly costPerMillionTokens: number | null
}

const hoursAMonth = 730
const daysAMonth = 30
/** What weights and KV blocks may take; the rest is the engine's own. */
const memoryShare = 0.9
/** Of an exponential tail: ln(100) times its mean is passed once in a hundred. */
const p99OfMean = Math.log(100)

export const costOfHours = (count: number, hourly: number): number => count * hourly * hoursAMonth

/** Prompt and output, as both are paid for. */
export const tokensAMonth = (load: Omit<Load, "utilisation">): number =>
  load.requestsPerSecond * (load.promptTokens + load.outputTokens) * 86_400 * daysAMonth

/** Mean wait of many servers with one queue (Sakasegawa's approximation), in service times. */
const waitOfService = (servers: number, busy: number): number =>
  busy >= 1 ? Infinity : busy ** Math.sqrt(2 * (servers + 1)) / (servers * (1 - busy))

export const plan = (load: Load, rate: EngineRate, { memoryBytes, hourly }: Gpu): Plan => {
  const { requestsPerSecond, promptTokens, outputTokens, utilisation } = load
  const requestsPerSecondOfReplica = rate.tokensPerSecond / outputTokens
  const replicas = Math.ceil(requestsPerSecond / (requestsPerSecondOfReplica * utilisation))
  const gpus = replicas * rate.gpusPerReplica
  const kvBytesOfReplica = rate.batch * (promptTokens + outputTokens) * rate.kvBytesPerToken
  const memoryBytesOfReplica = memoryBytes * rate.gpusPerReplica
  const answerSeconds = (outputTokens * rate.batch) / rate.tokensPerSecond
  const busy = requestsPerSecond / (requestsPerSecondOfReplica * replicas)
  const waitSeconds = answerSeconds * waitOfService(replicas * rate.batch, busy)
  const tokens = tokensAMonth(load)
  const costAMonth = hourly === null ? null : costOfHours(gpus, hourly)
  return {
    requestsPerSecondOfReplica,
    replicas,
    gpus,
    batch: rate.batch,
    kvBytesOfReplica,
    memoryBytesOfReplica,
    fits: kvBytesOfReplica + rate.weightBytes <= memoryBytesOfReplica * memoryShare,
    answerSeconds,
    answerSecondsP99: answerSeconds + p99OfMean * waitSeconds,
    tokensAMonth: tokens,
    costAMonth,
    costPerMillionTokens: costAMonth === null ? null : costAMonth / (tokens / 1e6),
  }
}
