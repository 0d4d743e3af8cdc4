// Every setting, declared once: its place in ConfigShape, key, range, default and sentence. `get`
// says what happens to each: load.ts reads it, help lists it, `defaults` takes its fallback.
import { basename } from "node:path"
import { apiKeys, fullKey } from "./apiKeys.ts"
import { brokers, url } from "./servers.ts"
import { limits } from "./limits.ts"
import type { ConfigShape, LogConfig, WorkerConfig } from "./Config.ts"
import { admin, prices, tls, tracing } from "./operations.ts"
import { bundledModel } from "./packageRoot.ts"
import {
  bytes,
  choice,
  duration,
  integer,
  list,
  path,
  type Get,
  type Setting,
  share,
  text,
  truth,
} from "./setting.ts"

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const hour = 3_600_000
const million = 1_000_000

export const readSettings = (get: Get): ConfigShape => {
  const model = get(
    path("model", bundledModel, "The model: any Hugging Face folder of a known family."),
  )
  const named = get(
    text("servedModelName", "", "The model's name for clients; the folder's name unless given."),
  )
  const rate = {
    requestsPerSecond: get(
      integer("rate.requestsPerSecond", [1, million], 100, "Requests a second of a key."),
    ),
    burst: get(integer("rate.burst", [1, million], 200, "Requests at once of a key.")),
  }
  return {
    model,
    servedModelName: named === "" ? basename(model) : named,
    rate,
    apiKeys: get(apiKeys).map(fullKey),
    ...front(get),
    limits: limits(get),
    tiers: tiers(get),
    log: log(get),
    worker: worker(get),
    heartbeat: heartbeat(get),
    prices: prices(get),
    admin: admin(get),
    tls: tls(get),
    tracing: tracing(get),
    scripted: {
      tokensPerSecond: get(
        integer(
          "scripted.tokensPerSecond",
          [0, million],
          0,
          "The pace of each scripted sequence; 0: as fast as it goes.",
        ),
      ),
    },
  }
}

type Front = Omit<
  ConfigShape,
  | "model"
  | "servedModelName"
  | "rate"
  | "apiKeys"
  | "limits"
  | "tiers"
  | "log"
  | "worker"
  | "heartbeat"
  | "prices"
  | "admin"
  | "tls"
  | "tracing"
  | "scripted"
>

const front = (get: Get): Front => ({
  modelVersion: get(text("modelVersion", "1", "The version under which its requests are logged.")),
  host: get(text("host", "127.0.0.1", "The address to listen on; others than loopback need keys.")),
  port: get(integer("port", [0, 65_535], 8000, "The port to listen on; 0: any free one.")),
  data: get(path("data", "data", "The folder of the log. Every process of one server shares it.")),
  kafka: get(brokers("kafka", "The log on Kafka instead of a folder: some of its brokers.")),
  registry: get(
    url("registry", /^https?:$/, "With Kafka: the schema registry (Confluent's API); none: none."),
  ),
  redis: get(
    url("redis", /^rediss?:$/, "Limits that all gateways share; without it, each its own."),
  ),
  dtype: get(
    choice(
      "dtype",
      ["auto", "float32", "bfloat16", "float16"],
      "auto",
      "How weights are held; auto: as they are stored.",
    ),
  ),
  device: get(
    choice(
      "device",
      ["auto", "cpu", "cuda"],
      "auto",
      "What runs the model; auto: a GPU where there is one that can, else the CPU.",
    ),
  ),
  gpuMemory: get(share("gpuMemory", 0.9, "The share of the GPU's memory that may be used.")),
  deterministic: get(
    truth(
      "deterministic",
      false,
      "On a GPU: the same tokens alone and in a crowd, slower. The CPU gives them always.",
    ),
  ),
  engine: get(
    choice(
      "engine",
      ["native", "scripted"],
      "native",
      "native: the model; scripted: made-up tokens, to measure all that is around the engine.",
    ),
  ),
  insecure: get(
    truth("insecure", false, "Serve on an address other than loopback without any API key."),
  ),
  development: get(
    truth(
      "development",
      false,
      "With serve: the worker is a process of its own, which the console may kill.",
    ),
  ),
  corsOrigins: get(list("corsOrigins", "Origins that browsers may call from; none: CORS is off.")),
  logLevel: get(
    choice("logLevel", ["debug", "info", "warn", "error"], "info", "The least that is logged."),
  ),
})

const heartbeat = (get: Get): ConfigShape["heartbeat"] => ({
  mode: get(
    choice(
      "heartbeat.mode",
      ["comment", "event", "off"],
      "comment",
      "What keeps an idle stream open; event: a valid empty chunk, for clients that time out.",
    ),
  ),
  everyMs: get(duration("heartbeat.everyMs", [100, hour], 15_000, "How often, when idle.")),
})

const tiers = (get: Get): ConfigShape["tiers"] => ({
  priority: get(integer("tiers.priority", [1, 1000], 16, "Weight of the priority tier.")),
  default: get(integer("tiers.default", [1, 1000], 4, "Weight of the default tier.")),
  flex: get(integer("tiers.flex", [1, 1000], 1, "Weight of the flex tier.")),
})

// By default at most (8 x 3 tiers + 4 tokens + 2 others) x 512 MiB = 15 GiB are kept, which fits
// the map.
const log = (get: Get): LogConfig => ({
  requestPartitions: get(
    integer("log.requestPartitions", [1, 1024], 8, "Of each tier's request topic."),
  ),
  tokenPartitions: get(integer("log.tokenPartitions", [1, 1024], 4, "Of the token topic.")),
  retentionMs: get(
    duration("log.retentionMs", [1000, 3650 * 24 * hour], 24 * hour, "How long records are kept."),
  ),
  retentionBytes: get(
    bytes(
      "log.retentionBytes",
      [MiB, 1024 * GiB],
      512 * MiB,
      "What each partition keeps at most; the oldest go first.",
    ),
  ),
  mapBytes: get(
    bytes(
      "log.mapBytes",
      [16 * MiB, 16 * 1024 * GiB],
      16 * GiB,
      "The whole log at most; disk is used as records come, not ahead.",
    ),
  ),
  retryMs: get(
    duration("log.retryMs", [1, 10_000], 100, "Between tries of an append of tokens that failed."),
  ),
  brokerRetryMs: get(
    duration(
      "log.brokerRetryMs",
      [1, 10_000],
      50,
      "Before a Kafka broker that failed in passing is asked again; doubles with each try.",
    ),
  ),
  brokerRetryMsMax: get(
    duration("log.brokerRetryMsMax", [1, 60_000], 500, "Up to which log.brokerRetryMs doubles."),
  ),
  patienceMs: get(
    duration(
      "log.patienceMs",
      [0, hour],
      30_000,
      "An append that fails for so long ends its worker; another goes on from the log.",
    ),
  ),
  replicas: get(
    integer("log.replicas", [0, 15], 0, "Copies of each partition on Kafka; 0: three, if it can."),
  ),
})

const worker = (get: Get): WorkerConfig => ({
  threads: get(integer("worker.threads", [0, 1024], 0, "Of the engine; 0: one a core.")),
  sequencesMax: get(integer("worker.sequencesMax", [1, 8192], 64, "Sequences in one batch.")),
  batchTokensMax: get(
    integer("worker.batchTokensMax", [16, 131_072], 512, "Tokens computed in one step."),
  ),
  contextTokensMax: get(
    integer("worker.contextTokensMax", [0, 16 * million], 0, "Of one sequence; 0: the model's."),
  ),
  kvBytes: get(
    bytes("worker.kvBytes", [0, 16 * 1024 * GiB], 0, "Memory for KV blocks; 0: what is free."),
  ),
  prefixCache: get(truth("worker.prefixCache", true, "Reuse KV blocks of equal beginnings.")),
  flushMs: get(
    duration(
      "worker.flushMs",
      [0, 1000],
      10,
      "How long tokens wait for company on the way out; longer (50ms at most) with many " +
        "streams, and up to 150ms where the answer is not streamed.",
    ),
  ),
  claimsMax: get(
    integer("worker.claimsMax", [1, 100], 5, "Claims without progress, then a dead letter."),
  ),
  yieldMs: get(
    duration(
      "worker.yieldMs",
      [10, hour],
      2000,
      "How long a request that another worker won is left to it, if its partition is this one's.",
    ),
  ),
  drainMs: get(
    duration(
      "worker.drainMs",
      [0, hour],
      1000,
      "What running requests get to end or change hands at shutdown.",
    ),
  ),
})

/** What is in force where nobody says otherwise. */
export const defaults = (): ConfigShape => readSettings((setting) => setting.fallback)

const every: Array<Setting<unknown>> = []
readSettings((setting) => {
  every.push(setting)
  return setting.fallback
})

/** In the order of readSettings, which is the order of help and of `sluice config`. */
export const allSettings: ReadonlyArray<Setting<unknown>> = every
