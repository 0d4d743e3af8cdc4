// Which value is in force, and where it came from: a flag, else a SLUICE_* variable, else
// sluice.yaml, else the default. All problems are found at once and each names its place.
import { existsSync } from "node:fs"
import { dirname, isAbsolute, resolve } from "node:path"
import { Effect, Option, Schema } from "effect"
import type { ConfigShape } from "./Config.ts"
import { type FileValue, readConfigFile } from "./configFile.ts"
import { flagOf, type Setting, variableOf } from "./setting.ts"
import { allSettings, readSettings } from "./settings.ts"
import { didYouMean } from "./suggest.ts"

class ConfigError extends Schema.TaggedError<ConfigError>()("ConfigError", {
  problems: Schema.Array(Schema.String),
}) {
  override get message(): string {
    return this.problems.join("\n")
  }
}

export interface ConfigInputs {
  /** Of --config or SLUICE_CONFIG; null: ./sluice.yaml where there is one. */
  readonly file: string | null
  readonly variables: Readonly<Record<string, string | undefined>>
  /** By flag name, without dashes. */
  readonly flags: Readonly<Record<string, string>>
  readonly folder: string
}

export interface Loaded {
  readonly config: ConfigShape
  /** Setting key to "default", "sluice.yaml:3", "SLUICE_PORT" or "--port". */
  readonly sources: ReadonlyMap<string, string>
}

interface Given {
  readonly raw: unknown
  readonly source: string
  /** What relative paths start from. */
  readonly folder: string
}

const keys = allSettings.map((setting) => setting.key)

/** Variables with our prefix that are no settings, but known to the engine and the tools around. */
const otherVariables =
  /^SLUICE_(CONFIG|ISA|ENGINE_CUDA|CUBLASLT|CUDA_GRAPHS|GRAMMAR|TALLY|SEED|BENCH_\w+|TEST_\w+)$/

const fileOf = (inputs: ConfigInputs): string | null => {
  const named = inputs.file ?? inputs.variables["SLUICE_CONFIG"] ?? null
  if (named !== null) return resolve(inputs.folder, named)
  const usual = resolve(inputs.folder, "sluice.yaml")
  return existsSync(usual) ? usual : null
}

const unknownVariables = (variables: ConfigInputs["variables"]): ReadonlyArray<string> => {
  const known = keys.map(variableOf)
  return Object.keys(variables)
    .filter((name) => name.startsWith("SLUICE_"))
    .filter((name) => !otherVariables.test(name) && !known.includes(name))
    .map((name) => `unknown variable ${name}${didYouMean(name, known)}`)
}

const shown = (setting: Setting<unknown>, raw: unknown): string => {
  if (setting.secret) return "a value that is not shown"
  const text = JSON.stringify(raw) ?? "nothing"
  return text.length > 80 ? `${text.slice(0, 80)}...` : text
}

export const loadConfig = Effect.fn("Config.load")(function* (inputs: ConfigInputs) {
  const file = fileOf(inputs)
  const fromFile =
    file === null
      ? { values: new Map<string, FileValue>(), problems: [] }
      : yield* readConfigFile(file, keys).pipe(
          Effect.mapError((error) => new ConfigError({ problems: [error.message] })),
        )
  const problems = [...fromFile.problems, ...unknownVariables(inputs.variables)]
  const sources = new Map<string, string>()

  const given = (key: string): Given | null => {
    const flag = inputs.flags[flagOf(key)]
    if (flag !== undefined) return { raw: flag, source: `--${flagOf(key)}`, folder: inputs.folder }
    const variable = inputs.variables[variableOf(key)]
    if (variable !== undefined) {
      return { raw: variable, source: variableOf(key), folder: inputs.folder }
    }
    const entry = fromFile.values.get(key)
    if (file === null || entry === undefined) return null
    return { raw: entry.raw, source: `${file}:${entry.line}`, folder: dirname(file) }
  }

  const get = <A>(setting: Setting<A>): A => {
    const found = given(setting.key)
    sources.set(setting.key, found?.source ?? "default")
    if (found === null) return placed(setting, setting.fallback, inputs.folder)
    const decoded = setting.decode(found.raw)
    if (Option.isSome(decoded)) return placed(setting, decoded.value, found.folder)
    const was = shown(setting, found.raw)
    problems.push(`${found.source}: ${setting.key} must be ${setting.expects}; found ${was}`)
    return setting.fallback
  }

  const config = readSettings(get)
  problems.push(...disagreements(config))
  if (problems.length > 0) return yield* new ConfigError({ problems })
  return { config, sources } satisfies Loaded
})

/** Settings that are each in range and cannot be together. */
const disagreements = ({ worker, kafka, registry, tls }: ConfigShape): ReadonlyArray<string> => [
  ...(worker.batchTokensMax > worker.sequencesMax
    ? []
    : [
        `worker.batchTokensMax (${worker.batchTokensMax}) must exceed worker.sequencesMax ` +
          `(${worker.sequencesMax}): a step gives each sequence a token and a prompt the rest`,
      ]),
  ...((tls.cert === "") === (tls.key === "")
    ? []
    : ["tls.cert and tls.key belong together: set both, or none"]),
  ...(kafka.length === 0 || registry !== ""
    ? []
    : [
        "kafka needs a registry: --registry with its URL, or none where all records are to carry " +
          "Sluice's own schema ids",
      ]),
]

/** A path setting's value made absolute; every other value as it is. */
const placed = <A>(setting: Setting<A>, value: A, folder: string): A => {
  if (!setting.path || typeof value !== "string" || value === "") return value
  if (isAbsolute(value)) return value
  const decoded = setting.decode(resolve(folder, value))
  return Option.isSome(decoded) ? decoded.value : value
}
