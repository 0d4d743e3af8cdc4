// Every command of `sluice`: what it is for and which settings it heeds. Help, argument errors and
// the entry point read this table.

import { record, replay } from "./replay/commands.ts"

export type ProcessKind = "serve" | "gateway" | "worker" | "relay"

export interface Command {
  readonly name: string
  readonly summary: string
  readonly about: ReadonlyArray<string>
  /** First parts of the keys of the settings it heeds. */
  readonly settings: ReadonlyArray<string>
  readonly examples: ReadonlyArray<readonly [command: string, what: string]>
  /** The word after the command's name, one of these; none where it takes no such word. */
  readonly actions?: ReadonlyArray<string>
  /** It does something without one of its actions too. */
  readonly actionOptional?: true
  /** What may stand after the action, as help shows it; none where nothing may. */
  readonly operand?: string
  /** How many such words; one unless given. */
  readonly operandsMax?: number
  /** Flags that are no settings. */
  readonly switches?: ReadonlyArray<readonly [name: string, about: string]>
  /** Flags that are no settings and have a value. */
  readonly options?: ReadonlyArray<readonly [name: string, takes: string, about: string]>
}

const model = ["model", "servedModelName", "modelVersion"]
const listen = [
  ...["host", "port", "insecure", "apiKeys", "corsOrigins", "rate", "limits", "heartbeat"],
]
const log = ["data", "log", "kafka", "registry", "logLevel", "admin", "tls", "tracing", "prices"]
const engine = [
  "dtype",
  "device",
  "gpuMemory",
  "deterministic",
  "engine",
  "worker",
  "scripted",
  "tiers",
]
const all = [...model, ...listen, "development", "redis", ...log, ...engine]

export const processes: Readonly<Record<ProcessKind, Command>> = {
  serve: {
    name: "serve",
    summary: "gateway, worker and relay in one process",
    about: [
      "Serves the API on one address, runs the model in the same process, and keeps the log in a",
      "data folder. This is all that one machine needs.",
    ],
    settings: all,
    examples: [
      ["sluice serve", "the bundled story model on http://127.0.0.1:8000"],
      ["sluice serve --model ./SmolLM2-135M-Instruct", "any Hugging Face folder of a known family"],
      ["sluice serve --port 9000 --data /var/lib/sluice", "another port, another data folder"],
    ],
  },
  gateway: {
    name: "gateway",
    summary: "the API without a model: accepts, streams back, runs nothing",
    about: [
      "Takes requests into the log of a data folder and streams back what workers on the same",
      "folder generate. Several gateways may share one folder.",
    ],
    settings: [...model, ...listen, "redis", ...log],
    examples: [
      ["sluice gateway --port 8001 --data ./data", "beside a `sluice worker --data ./data`"],
      ["sluice gateway --kafka broker:9092 --registry http://registry:8081", "many machines"],
    ],
  },
  worker: {
    name: "worker",
    summary: "the model without an API: takes requests from the log",
    about: [
      "Takes requests from the log of a data folder, runs the model, and appends the tokens to the",
      "log. Several workers share the requests; what one leaves half done, another continues.",
    ],
    settings: [...model, ...log, ...engine],
    examples: [["sluice worker --data ./data", "beside a `sluice gateway --data ./data`"]],
  },
  relay: {
    name: "relay",
    summary: "resumes streams: the API of /v1/requests only",
    about: [
      "Serves what is already in the log: the state of a request and its events from any cursor.",
      "It accepts no new request.",
    ],
    settings: [...model, ...listen, "redis", ...log],
    examples: [["sluice relay --port 8002 --data ./data", "beside any other process on ./data"]],
  },
}

const config: Command = {
  name: "config",
  summary: "prints every setting in force and where it came from; changes some everywhere",
  about: [
    "Reads sluice.yaml, SLUICE_* variables and flags as `serve` would, and prints the outcome.",
    "`set` changes a setting in the control log: every process on the same log has it within a",
    "second, without a restart. Limits, rates, API keys, tiers and prices may change so; what is",
    "wrong is refused before it is written. `history` lists a setting's changes, and `rollback`",
    "takes the last one back, or all after the one that is named.",
  ],
  settings: all,
  examples: [
    ["sluice config --port 9000", "shows port from --port, the rest as it is"],
    ["sluice config set rate.burst 500 --data ./data", "on Kafka: --kafka broker:9092"],
    ["sluice config rollback rate.burst", "as it was before"],
  ],
  actions: ["set", "get", "history", "rollback"],
  actionOptional: true,
  operand: "<setting> <value>",
  operandsMax: 2,
}

const plan: Command = {
  name: "plan",
  summary: "how many GPUs a load needs, and what they cost",
  about: [
    "From the rates that engines were measured at: GPUs, batch, KV memory, the time of an answer,",
    "cost a month and for a million tokens. The rates of 70b-int4 and 13b-fp16 on a100 are",
    "assumptions, and are printed as such.",
  ],
  settings: [],
  examples: [["sluice plan --model 8b-bf16 --qps 1000 --in 100 --out 200 --price 5", "on h200"]],
  options: [
    ["model", "name", "8b-bf16, 8b-int4, 70b-int4 or 13b-fp16. Default: 8b-bf16."],
    ["gpu", "name", "h200 or a100. Default: what the model was measured on."],
    ["qps", "number", "Requests a second. Default: 1000."],
    ["in", "number", "Prompt tokens of a request. Default: 100."],
    ["out", "number", "Generated tokens of a request. Default: 200."],
    ["utilisation", "share", "The share of the measured rate to plan for. Default: 0.7."],
    ["price", "dollars", "Of an hour of one GPU. Default: 4.1 for a100."],
  ],
}

const rollout: Command = {
  name: "rollout",
  summary: "another version of the model, by stages, with automatic rollback",
  about: [
    "`start` loads the version beside the one that serves, then gives it 10, 50 and 100 % of the",
    "requests. Each stage is judged by windows: a version that fails, answers with nothing or with",
    "one token over and over, is slower to its first token or loses its workers goes back at once.",
    "Requests that run end on the version that began them. `status` shows both side by side;",
    "`promote` enters the next stage now, `pause` and `resume` hold it, `rollback` takes it back.",
  ],
  settings: [...model, ...log],
  examples: [
    ["sluice rollout start 2 ./my-model-2 --data ./data", "on Kafka: --kafka broker:9092"],
    ["sluice rollout status", "the split, and the numbers of both versions"],
    ["sluice rollout rollback", "all requests go to the old version from now on"],
  ],
  actions: ["start", "status", "promote", "pause", "resume", "rollback"],
  operand: "<version> <folder>",
  operandsMax: 2,
  options: [
    ["stages", "percents", "Shares of the new version, rising to 100. Default: 10,50,100."],
    ["stage-time", "time", "How long each is held. Default: 5m."],
    ["window", "time", "What is judged together. Default: 1m, or the stage."],
    ["grace", "time", "How long the old version is kept at the end. Default: 10m."],
  ],
}

const doctor: Command = {
  name: "doctor",
  summary: "looks for what would keep Sluice from serving here",
  about: ["Checks Node, the native engine, the model folder, the data folder and the port."],
  settings: all,
  examples: [["sluice doctor --model ./my-model", "would this model be served?"]],
}

const topics: Command = {
  name: "topics",
  summary: "makes the topics on Kafka that a model version needs",
  about: [
    "`apply` makes what is missing and changes retention to what is configured; it never narrows,",
    "widens or deletes. Processes make no topics: run this before the first of a model version.",
  ],
  settings: ["servedModelName", "model", "modelVersion", "kafka", "registry", "log", "logLevel"],
  examples: [
    ["sluice topics apply --kafka broker:9092 --dry-run", "what would be done"],
    ["sluice topics apply --kafka broker:9092", "does it"],
  ],
  actions: ["apply"],
  switches: [["dry-run", "Print what would be done, and do nothing."]],
}

const schemas: Command = {
  name: "schemas",
  summary: "registers the event schemas, or checks them against a registry",
  about: [
    "`register` sets BACKWARD_TRANSITIVE for each topic's subject and registers what is missing;",
    "`check` says what would be registered, and fails where the registry would refuse it.",
  ],
  settings: ["servedModelName", "model", "modelVersion", "kafka", "registry", "log", "logLevel"],
  examples: [
    ["sluice schemas check --registry http://registry:8081", "before a deployment"],
    ["sluice schemas register --registry http://registry:8081", "as its first step"],
  ],
  actions: ["register", "check"],
}

const deadLetters: Command = {
  name: "dead-letters",
  summary: "requests that were given up: shows them, sends them again",
  about: [
    "A request whose workers die again and again before its first token is given up after",
    "worker.claimsMax claims, and so is a record that is no request. `list` shows all with",
    "their cause, `show` one, without its prompts unless they are asked for; `replay` sends one",
    "again as a new request with a new deadline, and prints its id.",
  ],
  settings: [...model, ...log],
  examples: [
    ["sluice dead-letters list --data ./data", "on Kafka: --kafka broker:9092 instead of --data"],
    ["sluice dead-letters show req-019aa5d2c1e07abc8def0123456789ab", "or a letter's offset"],
    ["sluice dead-letters replay 12", "once the cause is gone"],
  ],
  actions: ["list", "show", "replay"],
  operand: "<request id or offset>",
  switches: [["prompts", "Show the prompts, as text where the model is the one that is served."]],
}

const quantize: Command = {
  name: "quantize",
  summary: "makes a model smaller: 4 or 8 bits a weight",
  about: [
    "Writes a quantised copy of a model folder beside it, in the files of AutoAWQ (4 bits) or of",
    "compressed-tensors (8 bits), and measures its perplexity before and after on text that was",
    "held out. --awq searches, over a text, what rounding loses least; it is the default.",
  ],
  settings: [],
  examples: [
    ["sluice quantize ./SmolLM2-135M-Instruct --awq --group 64", "calibrated on its own text"],
    ["sluice quantize ./my-model --calibration ./text.txt", "calibrated on yours"],
    ["sluice quantize ./my-model --int8", "8 bits"],
  ],
  actionOptional: true,
  operand: "<model folder>",
  switches: [
    ["awq", "4 bits by AWQ."],
    ["round", "4 bits, rounded without a search: quick, and worse."],
    ["int8", "8 bits with one scale an output."],
  ],
  options: [
    ["bits", "4 or 8", "What the method makes anyway."],
    ["group", "128, 64 or 32", "Inputs that share a scale. Default: 128."],
    ["calibration", "a text file", "Text to calibrate on. Default: the model writes its own."],
    ["out", "a folder", "The new folder. Default: <model folder>-awq-g128 and the like."],
  ],
}

export const commands: ReadonlyArray<Command> = [
  ...Object.values(processes),
  record,
  replay,
  topics,
  schemas,
  deadLetters,
  quantize,
  rollout,
  plan,
  config,
  doctor,
]

export const isProcess = (name: string): name is ProcessKind => Object.hasOwn(processes, name)
