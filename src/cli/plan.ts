// `sluice plan`: how many GPUs a load needs and what they cost, from the table of measured rates.
import { type Plan, plan } from "../control/plan/plan.ts"
import { type EngineRate, engineRates, gpus } from "../control/plan/rates.ts"
import type { Output } from "./topics.ts"

interface Range {
  readonly fallback: number | null
  readonly min: number
  readonly max: number
}

const ranges: Readonly<Record<string, Range>> = {
  qps: { fallback: 1000, min: 0.001, max: 1e7 },
  in: { fallback: 100, min: 1, max: 1e7 },
  out: { fallback: 200, min: 1, max: 1e7 },
  utilisation: { fallback: 0.7, min: 0.01, max: 1 },
  price: { fallback: null, min: 0, max: 1e6 },
}

const gib = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`
const money = (amount: number) => `$${amount.toFixed(amount < 10 ? 3 : 0)}`
const count = (amount: number) => amount.toLocaleString("en-US", { maximumFractionDigits: 1 })

const lines = (rate: EngineRate, made: Plan): ReadonlyArray<string> => [
  `${rate.model} on ${rate.gpu}: ${count(rate.tokensPerSecond)} tokens/s a replica of ` +
    `${rate.gpusPerReplica} GPU${rate.gpusPerReplica === 1 ? "" : "s"} (${rate.source})`,
  `GPUs       ${made.gpus}: ${made.replicas} replicas, ` +
    `${count(made.requestsPerSecondOfReplica)} requests/s each at the most`,
  `batch      ${made.batch} sequences`,
  `memory     ${gib(made.kvBytesOfReplica)} of KV blocks and ${gib(rate.weightBytes)} of weights ` +
    `in ${gib(made.memoryBytesOfReplica)} a replica${made.fits ? "" : ": DOES NOT FIT"}`,
  `answer     ${made.answerSeconds.toFixed(2)} s at a full batch, ` +
    `p99 ${made.answerSecondsP99.toFixed(2)} s by the estimate`,
  `tokens     ${count(made.tokensAMonth / 1e9)} billion a month of 30 days`,
  made.costAMonth === null || made.costPerMillionTokens === null
    ? `cost       unknown: no price of ${rate.gpu} is known; give --price, dollars an hour`
    : `cost       ${money(made.costAMonth)} a month, ${money(made.costPerMillionTokens)} ` +
      "per million tokens",
]

/** Exit code: 0 planned, 1 it does not fit, 2 the question is wrong. */
export const planCommand = (options: ReadonlyMap<string, string>, { out, err }: Output): number => {
  const wrong: Array<string> = []
  const numberOf = (name: string): number | null => {
    const { fallback, min, max } = ranges[name] ?? { fallback: null, min: 0, max: 0 }
    const given = options.get(name)
    if (given === undefined) return fallback
    const value = Number(given)
    if (given.trim() !== "" && value >= min && value <= max) return value
    wrong.push(`--${name} is a number from ${min} to ${max}; found ${given}`)
    return fallback
  }
  const load = {
    requestsPerSecond: numberOf("qps") ?? 0,
    promptTokens: numberOf("in") ?? 0,
    outputTokens: numberOf("out") ?? 0,
    utilisation: numberOf("utilisation") ?? 1,
  }
  const price = numberOf("price")
  const model = options.get("model") ?? "8b-bf16"
  const gpu = options.get("gpu") ?? engineRates.find((one) => one.model === model)?.gpu ?? "h200"
  const rate = engineRates.find((one) => one.model === model && one.gpu === gpu)
  const card = gpus[gpu]
  if (rate === undefined || card === undefined) {
    const known = engineRates.map((one) => `${one.model} on ${one.gpu}`).join(", ")
    wrong.push(`nobody measured ${model} on ${gpu}; there are ${known}`)
  }
  if (rate === undefined || card === undefined || wrong.length > 0) {
    wrong.forEach((line) => err(`sluice plan: ${line}`))
    return 2
  }
  const made = plan(load, rate, { ...card, hourly: price ?? card.hourly })
  lines(rate, made).forEach(out)
  return made.fits ? 0 : 1
}
