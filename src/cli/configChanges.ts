// `sluice config set|get|history|rollback`: settings that change while processes run. The value is
// checked here, before it is written; every process has it when its tail of the log does.
import { Effect } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { liveSettings, withChanges } from "../config/live.ts"
import { valueAt } from "../config/valueAt.ts"
import { Control } from "../control/Control.ts"
import {
  rollbackSetting,
  setSetting,
  settingHistory,
  type SettingVersion,
} from "../control/settings.ts"
import { operator, runControl } from "./runControl.ts"
import type { Output } from "./topics.ts"

const isSecret = (key: string) => liveSettings.some((one) => one.key === key && one.secret)

/** Keys of clients are counted, never shown. */
const shown = (key: string, value: unknown): string =>
  isSecret(key) ? `${Array.isArray(value) ? value.length : 1} configured` : JSON.stringify(value)

const valueText = (key: string, value: string | null): string =>
  value === null ? "as each process is configured" : shown(key, JSON.parse(value))

const versionLine = (key: string, { eventId, at, by, value }: SettingVersion): string =>
  `${eventId}  ${new Date(at).toISOString()}  ${by.padEnd(16)}  ${valueText(key, value)}`

const inForce = (config: ConfigShape, key: string) =>
  Effect.map(Control, ({ state }) => shown(key, valueAt(withChanges(config, state.settings), key)))

const set = (config: ConfigShape, key: string, value: string) =>
  Effect.gen(function* () {
    const before = yield* inForce(config, key)
    yield* setSetting(key, asGiven(value), operator())
    return [`${key} is ${yield* inForce(config, key)} from now on, everywhere (was ${before})`]
  })

/** Lists and objects are given as JSON; anything else is a text, as in a variable. */
const asGiven = (value: string): unknown => {
  if (!/^[[{]/.test(value)) return value
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

const get = (config: ConfigShape, key: string | null) =>
  Effect.gen(function* () {
    const { state } = yield* Control
    const keys = key === null ? [...state.settings.keys()] : [key]
    const lines: Array<string> = []
    for (const one of keys) {
      const from = state.settings.has(one) ? "the control log" : "this configuration"
      lines.push(`${one}: ${yield* inForce(config, one)}  # ${from}`)
    }
    return lines.length === 0 ? ["No setting was changed in the control log."] : lines
  })

const history = (key: string) =>
  Effect.map(settingHistory(key), (versions) =>
    versions.length === 0
      ? [`${key} was never changed in the control log.`]
      : versions.map((version) => versionLine(key, version)),
  )

const rollback = (config: ConfigShape, key: string, to: string | null) =>
  Effect.gen(function* () {
    yield* rollbackSetting(key, to, operator())
    return [`${key} is ${yield* inForce(config, key)} again, everywhere`]
  })

export interface Asked {
  readonly action: string
  readonly operands: ReadonlyArray<string>
}

/** Resolves to the exit code. */
export const configChanges = (
  config: ConfigShape,
  { action, operands }: Asked,
  output: Output,
): Promise<number> => {
  const [key = null, value = null] = operands
  if (action === "get") return runControl(config, get(config, key), output)
  if (key === null || (action === "set" && value === null)) {
    output.err(`sluice config ${action}: name the setting${action === "set" ? " and value" : ""}.`)
    return Promise.resolve(2)
  }
  if (action === "set") return runControl(config, set(config, key, value ?? ""), output)
  if (action === "history") return runControl(config, history(key), output)
  return runControl(config, rollback(config, key, value), output)
}
