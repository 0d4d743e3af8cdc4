// Every setting, in one type: sluice.yaml, then SLUICE_* variables, then flags. `sluice config`
// prints what is in force and where each value came from. Defaults, ranges and help: settings.ts.
import { Context, Layer } from "effect"
import { defaults } from "./settings.ts"

export interface ApiKey {
  /** As clients send it, or "sha256:" and its digest in hex. */
  readonly key: string
  readonly tenant: string
  /** Absent: rate.requestsPerSecond and rate.burst. */
  readonly requestsPerSecond?: number
  readonly burst?: number
  /** The deadline of its requests that name none; absent: limits.requestTimeoutMs. */
  readonly requestTimeoutMs?: number
}

export interface ConfigShape {
  /** A Hugging Face model folder. */
  readonly model: string
  /** The name clients use; the folder's own name unless given. */
  readonly servedModelName: string
  readonly modelVersion: string
  readonly host: string
  readonly port: number
  /** Folder of the embedded log. */
  readonly data: string
  /** host:port of brokers; empty: the embedded log. */
  readonly kafka: ReadonlyArray<string>
  /** URL of the schema registry; "" or "none": records carry Sluice's own schema ids. */
  readonly registry: string
  /** URL of the Redis that gateways share; "": each keeps its own limits. */
  readonly redis: string
  readonly dtype: "auto" | "float32" | "bfloat16" | "float16"
  readonly device: "auto" | "cpu" | "cuda"
  /** The share of a GPU's memory that may be used. */
  readonly gpuMemory: number
  /** On a GPU: the same bits alone and in a crowd, at some cost. */
  readonly deterministic: boolean
  readonly engine: "native" | "scripted"
  readonly insecure: boolean
  /** `serve` runs its worker as a process that the console may kill. */
  readonly development: boolean
  readonly apiKeys: ReadonlyArray<ApiKey>
  /** Origins allowed by CORS; empty: off. */
  readonly corsOrigins: ReadonlyArray<string>
  readonly logLevel: "debug" | "info" | "warn" | "error"
  /** Of a key that names no rate of its own; without keys, of all callers together. */
  readonly rate: { readonly requestsPerSecond: number; readonly burst: number }
  readonly limits: Limits
  /** What each tier gets where all want slots: their weights. */
  readonly tiers: { readonly priority: number; readonly default: number; readonly flex: number }
  readonly log: LogConfig
  readonly worker: WorkerConfig
  readonly heartbeat: { readonly mode: "comment" | "event" | "off"; readonly everyMs: number }
  readonly prices: Prices
  readonly admin: AdminConfig
  readonly tls: TlsConfig
  readonly tracing: TracingConfig
  /** Of the scripted engine only: each sequence's pace; 0: as fast as it goes. */
  readonly scripted: { readonly tokensPerSecond: number }
}

export interface Limits {
  readonly bodyBytes: number
  readonly headerBytes: number
  readonly bodyTimeoutMs: number
  readonly promptsMax: number
  readonly choicesMax: number
  readonly stopStringsMax: number
  readonly logprobsMax: number
  readonly connectionsMax: number
  readonly socketRequestsMax: number
  /** A subscriber's buffer; past it the relay pauses it. */
  readonly subscriberBytes: number
  /** Idempotency keys that a gateway remembers. */
  readonly keysMax: number
  readonly requestTimeoutMs: number
  /** Of requests that do not say it: whether a client that leaves cancels its own. */
  readonly cancelOnDisconnect: boolean
}

export interface LogConfig {
  readonly requestPartitions: number
  readonly tokenPartitions: number
  readonly retentionMs: number
  /** Of each partition. */
  readonly retentionBytes: number
  /** The embedded log's map: the most it can ever hold. */
  readonly mapBytes: number
  /** Between tries of an append that failed and may yet succeed. */
  readonly retryMs: number
  /** Before a Kafka broker that failed in passing is asked again; doubles with each try. */
  readonly brokerRetryMs: number
  readonly brokerRetryMsMax: number
  /** An append that fails for so long is given up, and its process with it. */
  readonly patienceMs: number
  /** Copies of each partition on Kafka; 0: three, or as many as there are brokers. */
  readonly replicas: number
}

export interface WorkerConfig {
  readonly threads: number
  readonly sequencesMax: number
  readonly batchTokensMax: number
  /** 0: the model's own. */
  readonly contextTokensMax: number
  /** Of KV blocks; 0: what fits memory. */
  readonly kvBytes: number
  readonly prefixCache: boolean
  readonly flushMs: number
  readonly claimsMax: number
  /** How long another worker keeps a request that it won and whose partition is ours. */
  readonly yieldMs: number
  readonly drainMs: number
}

/** In one currency, whichever; all 0: not known. */
export interface Prices {
  readonly promptPerMillion: number
  readonly completionPerMillion: number
  /** What a worker costs, hardware and all. */
  readonly workerPerHour: number
}

/** The server of probes, metrics and administration: not for clients. */
export interface AdminConfig {
  /** host:port; "": there is none, and metrics are on the clients' port. */
  readonly listen: string
  /** Of /admin/*; none: it answers on loopback only. */
  readonly keys: ReadonlyArray<string>
}

/** PEM files, followed as they change; both "": plain HTTP. */
export interface TlsConfig {
  /** The certificate, and after it those between it and the root. */
  readonly cert: string
  readonly key: string
}

export interface TracingConfig {
  /** URL that takes OTLP traces over HTTP; "": tracing is off. */
  readonly endpoint: string
  /** Of requests whose caller did not decide it. */
  readonly sampleRatio: number
}

export class Config extends Context.Service<Config, ConfigShape>()("sluice/config/Config") {
  /** The defaults with these changes; for tests. */
  static readonly layerTest = (changes: Partial<ConfigShape> = {}): Layer.Layer<Config> =>
    Layer.sync(Config, () => ({ ...defaults(), ...changes }))
}
