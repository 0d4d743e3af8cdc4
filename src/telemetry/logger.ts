// JSON logs, one line an entry, on stderr: stdout belongs to what a command prints. Prompts, texts
// and keys are never logged: what is annotated under such a name is replaced, and long values are
// cut.
import { Cause, Layer, Logger, References } from "effect"
import type { ConfigShape } from "../config/Config.ts"

const redacted = new Set([
  "prompt",
  "prompts",
  "messages",
  "text",
  "texts",
  "completion",
  "body",
  "key",
  "apikey",
  "authorization",
])
const valueCharactersMax = 2000

const cut = (value: string) =>
  value.length > valueCharactersMax ? `${value.slice(0, valueCharactersMax)}...` : value

const plain = (value: unknown): unknown => {
  if (typeof value === "string") return cut(value)
  if (typeof value === "bigint") return String(value)
  if (value instanceof Error) return cut(value.message)
  if (typeof value !== "object" || value === null) return value
  return cut(JSON.stringify(value))
}

/** One entry's line, without its end. */
export const logLine = (options: Logger.Options<unknown>): string => {
  const parts = Array.isArray(options.message) ? options.message : [options.message]
  const entry: Record<string, unknown> = {
    time: options.date.toISOString(),
    level: options.logLevel.toLowerCase(),
    message: parts.map((part) => String(plain(part))).join(" "),
  }
  const annotations = options.fiber.getRef(References.CurrentLogAnnotations)
  for (const [name, value] of Object.entries(annotations)) {
    entry[name] = redacted.has(name.toLowerCase()) ? "[redacted]" : plain(value)
  }
  if (options.cause.reasons.length > 0) entry["cause"] = cut(Cause.pretty(options.cause))
  return JSON.stringify(entry)
}

const levels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

/** Replaces Effect's own loggers. */
export const layerLogger = (level: ConfigShape["logLevel"]): Layer.Layer<never> =>
  Layer.mergeAll(
    Logger.layer([Logger.make((options) => void process.stderr.write(`${logLine(options)}\n`))]),
    Layer.succeed(References.MinimumLogLevel, levels[level]),
  )
