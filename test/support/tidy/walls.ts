// Who may import whom: between the folders of src/, and from which folders a package may be seen.

const stages = ["api", "enqueue", "generate", "relay", "console"]

/** What a folder of src/ may import besides itself. Stages meet in logs, not in calls. */
export const mayImport: Readonly<Record<string, ReadonlyArray<string>>> = {
  api: ["enqueue", "relay", "console", "control", "tokenizer", "telemetry", "tls", "config"],
  enqueue: ["control", "tokenizer", "telemetry", "config"],
  generate: ["tokenizer", "telemetry", "config"],
  relay: ["telemetry", "config"],
  console: ["telemetry", "config"],
  tokenizer: ["telemetry", "config"],
  telemetry: ["config"],
  admin: ["tls", "telemetry", "config"],
  tls: ["telemetry", "config"],
  config: [],
  client: [],
  control: ["telemetry", "config"],
  replay: ["tokenizer", "config"],
  cli: [...stages, "admin", "control", "replay", "tokenizer", "telemetry", "config"],
}

/** A package and the only folders that may know it. */
export const walls: ReadonlyArray<readonly [name: RegExp, within: RegExp]> = [
  [/^lmdb$/, /^streams\/embedded\//],
  [/^kafkajs/, /^streams\/kafka\//],
  [/^@confluentinc\//, /^streams\/registry\//],
  [/^ioredis$/, /^src\/api\/rate\//],
  [/^undici$/, /^src\/replay\/send\//],
  [/^avsc$/, /^schemas\//],
  [/^ws$/, /^src\/api\//],
  [/^prom-client$/, /^src\/telemetry\//],
  [/^yaml$/, /^src\/config\//],
  [/^@huggingface\//, /^src\/tokenizer\//],
  [/^@effect\/platform-node/, /^src\/(api|cli)\//],
]
