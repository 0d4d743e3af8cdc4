// What `sluice serve` and its parts print once they are ready: where they are, a line to paste,
// what the model is, and how to serve another.
import { relative } from "node:path"
import type { ConfigShape } from "../config/Config.ts"
import { bundledModel } from "../config/packageRoot.ts"
import type { ProcessKind } from "./commands.ts"

export interface Ready {
  readonly kind: ProcessKind
  readonly config: ConfigShape
  /** null: it listens nowhere. */
  readonly url: string | null
  /** Of the administrators' server; null: there is none. */
  readonly adminUrl: string | null
  /** Of the engine: "cpu (avx2, 2 threads), bfloat16"; null where there is none. */
  readonly device: string | null
  readonly startMs: number
}

/** A checkout runs its sources, the published package what was compiled from them. */
const startCommand = import.meta.url.endsWith(".ts") ? "npm start --" : "npx sluice serve"

const here = (path: string): string => {
  const near = relative(process.cwd(), path)
  return near === "" || near.startsWith("..") ? path : `./${near}`
}

const curl = (url: string, config: ConfigShape): string => {
  const body = JSON.stringify({
    model: config.servedModelName,
    prompt: "Once upon a time",
    max_tokens: 120,
    stream: true,
  })
  // The shell's quotes: a name with a quote in it would end them.
  const quoted = body.replaceAll("'", `'\\''`)
  const key = config.apiKeys.length > 0 ? ` -H "authorization: Bearer $API_KEY"` : ""
  return `curl -N ${url}/v1/completions -H 'content-type: application/json'${key} -d '${quoted}'`
}

const aboutModel = ({ kind, config, device }: Ready): ReadonlyArray<string> => {
  const scripted = config.engine === "scripted"
  const runs = device === null ? "" : scripted ? ": made-up tokens, no model" : ` on ${device}`
  if (kind !== "serve" || config.model !== bundledModel || scripted) {
    return [`  model  ${config.servedModelName}${runs}`]
  }
  return [
    `  model  ${config.servedModelName}${runs}`,
    "         The small story model that ships with Sluice: it tells children's tales in simple",
    "         English and knows nothing else. To serve a real one:",
    "           hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir smollm2",
    `           ${startCommand} --model ./smollm2`,
  ]
}

const aboutLog = ({ kafka, registry, data }: ConfigShape): string => {
  if (kafka.length === 0) return `  data   ${here(data)}`
  const ids = registry === "none" ? "Sluice's own schema ids" : "schema ids of the registry"
  return `  log    Kafka at ${kafka.join(",")}, ${ids}`
}

export const announcement = (ready: Ready): string => {
  const { kind, config, url, adminUrl, startMs } = ready
  const where = url === null ? "" : ` on ${url}`
  const head = `sluice ${kind} is ready${where} (${Math.round(startMs)} ms)`
  const paste = url !== null && kind !== "relay" ? ["", `  ${curl(url, config)}`] : []
  const admin = adminUrl === null ? [] : [`  admin  ${adminUrl}`]
  return [head, ...paste, "", ...aboutModel(ready), aboutLog(config), ...admin, ""].join("\n")
}
