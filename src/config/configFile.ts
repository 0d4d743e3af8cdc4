// sluice.yaml as a flat map: dotted key to value and line. It knows which keys exist, not what they
// mean; every problem names file and line.
import { readFileSync } from "node:fs"
import { Effect, Result, Schema } from "effect"
import { isMap, isScalar, LineCounter, type Node, parseDocument } from "yaml"
import { didYouMean } from "./suggest.ts"

export interface FileValue {
  readonly raw: unknown
  readonly line: number
}

export interface FileSettings {
  readonly values: ReadonlyMap<string, FileValue>
  readonly problems: ReadonlyArray<string>
}

class ConfigFileError extends Schema.TaggedError<ConfigFileError>()("ConfigFileError", {
  message: Schema.String,
}) {}

/** A configuration of a thousand lines is far below it. */
const fileBytesMax = 1024 * 1024

export const readConfigFile = Effect.fn("Config.readFile")(function* (
  file: string,
  keys: ReadonlyArray<string>,
) {
  const source = yield* Effect.try({
    try: () => readFileSync(file),
    catch: (cause) =>
      new ConfigFileError({
        message: `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
      }),
  })
  if (source.length > fileBytesMax) {
    return yield* new ConfigFileError({
      message: `${file} is ${source.length} bytes; a configuration is ${fileBytesMax} at most`,
    })
  }
  return parseConfig(file, source.toString("utf8"), keys)
})

export const parseConfig = (
  file: string,
  source: string,
  keys: ReadonlyArray<string>,
): FileSettings => {
  const counter = new LineCounter()
  const document = parseDocument(source, { lineCounter: counter, prettyErrors: false })
  const lineOf = (node: Node | null) => counter.linePos(node?.range?.[0] ?? 0).line
  const values = new Map<string, FileValue>()
  const problems = document.errors.map(
    (error) => `${file}:${counter.linePos(error.pos[0]).line}: ${error.message}`,
  )
  if (problems.length > 0) return { values, problems }

  const walk = (node: unknown, prefix: string): void => {
    if (!isMap<Node, Node | null>(node)) return
    for (const { key: name, value } of node.items) {
      const key = prefix + (isScalar(name) ? String(name.value) : "?")
      const line = lineOf(name)
      if (keys.includes(key)) {
        // Aliases may blow up a small file into a large value; none is needed here.
        const raw = Result.try(() => value?.toJS(document, { maxAliasCount: 0 }))
        if (Result.isSuccess(raw)) values.set(key, { raw: raw.success, line })
        else problems.push(`${file}:${line}: ${key}: aliases are not supported`)
      } else if (keys.some((known) => known.startsWith(`${key}.`))) {
        if (isMap(value)) walk(value, `${key}.`)
        else if (value !== null) problems.push(`${file}:${line}: ${key} holds further settings`)
      } else {
        problems.push(`${file}:${line}: unknown setting "${key}"${didYouMean(key, keys)}`)
      }
    }
  }
  const top: unknown = document.contents
  if (isMap(top)) walk(top, "")
  else if (top !== null) problems.push(`${file}:1: expected settings as "name: value" lines`)
  return { values, problems }
}
