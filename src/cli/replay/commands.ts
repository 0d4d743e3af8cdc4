// `sluice replay` and `sluice record`: their flags and sentences. What a flag means is in
// src/replay/ReplayOptions.ts.
import type { Command } from "../commands.ts"

export const replay: Command = {
  name: "replay",
  summary: "sends a trace, or a load of its own, to any OpenAI-compatible server and measures it",
  about: [
    "Requests are sent when they are due, whatever answers do, and latencies count from then; what",
    "is sent late is counted. Traces: Sluice's own, Mooncake, Azure, BurstGPT, vLLM, ShareGPT, or",
    "plain prompts. Prompts that a trace does not have are made of its lengths and block hashes.",
    "`find-rate` searches the highest rate at which --attain of the requests keep --slo.",
    "OPENAI_API_KEY, where set, is the target's key. Ctrl-C reports what was measured so far.",
  ],
  settings: ["servedModelName", "model", "modelVersion", "data", "kafka", "registry", "log"],
  actions: ["compare", "find-rate"],
  actionOptional: true,
  operand: "<trace>, or two reports to compare",
  operandsMax: 2,
  options: [
    ["target", "URL", "A server: http://127.0.0.1:8000; or log or kafka: straight to the workers."],
    ["speed", "FACTOR", "The trace's own times, so much faster; max: as fast as it goes."],
    ["rate", "RATE", "Arrivals of their own instead: 50 or poisson:50 a second, or uniform:50."],
    ["concurrency", "N", "At most so many at once; what then waits is late. 256 with --speed max."],
    ["duration", "TIME", "Requests due later are not sent: 60s."],
    ["requests", "N", "So many requests at most."],
    ["warmup", "TIME", "Requests of the first time are sent and not counted."],
    ["slo", "GOALS", "Objectives of a request: ttft=100ms,itl=50ms,e2e=5s (gap: longest wait)."],
    ["attain", "SHARE", "Of find-rate: the share of requests that must keep them. Default: 0.99."],
    ["lengths", "IN:OUT", "No trace: prompts of IN tokens, answers of OUT."],
    ["format", "NAME", "The trace's format, where its first line does not tell."],
    [
      "scale",
      "FACTOR",
      "Multiplies all lengths; what still exceeds the context is cut and counted.",
    ],
    ["context", "TOKENS", "The target's context; /v1/models tells it unless given."],
    ["output-max", "TOKENS", "No answer is longer; what is cut is counted."],
    ["prompt-ids", "FROM:TO", "Prompts as token ids from this range instead of words."],
    ["endpoint", "NAME", "completions, or chat."],
    ["target-model", "NAME", "The model to ask for; the first of /v1/models unless given."],
    ["header", "LINE", "A header of every request: 'x-team: search'."],
    ["processes", "N", "Generator processes; one for each 4,000 requests/s unless given."],
    ["seed", "N", "Of arrivals and prompts."],
    ["timeout", "TIME", "Longer answers are given up. Default: 5m."],
    ["stall", "TIME", "So are answers that say nothing for so long. Default: 1m."],
    ["late", "TIME", "A send counts as late so long after it was due. Default: 5ms."],
    ["scrape", "URL", "The target's metrics page, read each second and shown beside."],
    ["json", "FILE", "The report as JSON, with the names of vLLM's benchmark too."],
    ["html", "FILE", "The report as one page with plots; of compare: both runs."],
    ["name", "TEXT", "What the report calls this run."],
  ],
  switches: [
    ["repeat", "Begin again at the trace's end, until --duration or --requests."],
    ["verify", "Compare answers with the recorded ones; report where they first differ."],
    ["no-stream", "Ask for whole answers instead of streams."],
    ["plain", "Only fields that OpenAI's own API has."],
  ],
  examples: [
    ["sluice replay find-rate trace.jsonl --target http://host:8000 --slo ttft=1s", "its capacity"],
    ["sluice replay trace.jsonl --target http://127.0.0.1:8000 --slo ttft=200ms", "as recorded"],
    ["sluice replay trace.csv --target http://host:8000 --speed 10 --json out.json", "ten times"],
    [
      "sluice replay --lengths 512:128 --rate 50 --duration 60s --target http://host:8000",
      "made up",
    ],
  ],
}

export const record: Command = {
  name: "record",
  summary: "writes requests and answers of the logs as a trace, or a trace in another format",
  about: [
    "`export` writes a model's requests to standard output in the order of their acceptance: when",
    "they came, prompts, parameters, tokens and times of the answers. Redacted, it has lengths,",
    "times and block hashes only. `convert` writes a trace of any known format in another one.",
  ],
  settings: ["servedModelName", "model", "modelVersion", "data", "kafka", "registry", "log"],
  actions: ["export", "convert"],
  operand: "<trace to convert>",
  options: [
    ["from", "TIME", "Requests from then on: 2026-01-31T12:00:00Z, or 2h (ago)."],
    ["to", "TIME", "Requests before it; now unless given."],
    ["format", "NAME", "sluice, mooncake, azure, burstgpt, vllm, sharegpt or prompts."],
  ],
  switches: [["redact", "No prompts, no answers, no ids: lengths, times and salted block hashes."]],
  examples: [
    ["sluice record export --data ./data --from 2h > trace.jsonl", "the last two hours"],
    ["sluice record export --data ./data --redact > share.jsonl", "to give away"],
    ["sluice record convert trace.csv --format mooncake > trace.jsonl", "another format"],
  ],
}
