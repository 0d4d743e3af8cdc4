// The command line to a command and its flags, or to the sentence that says what is allowed
// instead. Every setting that is no secret has a flag; `--config` names the file.
import type { Setting } from "../config/setting.ts"
import { flagOf } from "../config/setting.ts"
import { didYouMean } from "../config/suggest.ts"
import type { Command } from "./commands.ts"

export interface Parsed {
  readonly help: boolean
  /** Of a command with actions: which. */
  readonly action: string | null
  /** What stands after the action, where the command takes it. */
  readonly operand: string | null
  readonly switches: ReadonlySet<string>
  readonly file: string | null
  readonly flags: Readonly<Record<string, string>>
}

export type ParsedArgs =
  { readonly ok: true; readonly value: Parsed } | { readonly ok: false; readonly message: string }

/** The settings that a command takes as flags. */
export const settingsOf = (
  command: Command,
  all: ReadonlyArray<Setting<unknown>>,
): ReadonlyArray<Setting<unknown>> =>
  all.filter((setting) => command.settings.includes(setting.key.split(".")[0] ?? ""))

const refuse = (command: Command, what: string): ParsedArgs => ({
  ok: false,
  message: `sluice ${command.name}: ${what}\nAll flags: sluice ${command.name} --help`,
})

export const parseArgs = (
  command: Command,
  args: ReadonlyArray<string>,
  all: ReadonlyArray<Setting<unknown>>,
): ParsedArgs => {
  const settings = settingsOf(command, all).filter((setting) => !setting.secret)
  const known = new Map(settings.map((setting) => [flagOf(setting.key), setting]))
  const switches = (command.switches ?? []).map(([name]) => name)
  const names = [...known.keys(), ...switches, "config", "help"]
  const flags: Record<string, string> = {}
  const on = new Set<string>()
  let file: string | null = null
  let help = false
  let action: string | null = null
  let operand: string | null = null
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? ""
    if (arg === "--help" || arg === "-h") {
      help = true
      continue
    }
    if (switches.includes(arg.slice(2)) && arg.startsWith("--")) {
      on.add(arg.slice(2))
      continue
    }
    if (action === null && command.actions?.includes(arg) === true) {
      action = arg
      continue
    }
    const mayBeOperand = command.operand !== undefined && action !== null && operand === null
    if (mayBeOperand && !arg.startsWith("-")) {
      operand = arg
      continue
    }
    if (!arg.startsWith("--")) {
      const flag = arg.startsWith("-") ? `unknown flag ${arg}` : `unexpected "${arg}"`
      return refuse(command, `${flag}; it takes flags such as ${examples(names)}`)
    }
    const [name = "", ...rest] = arg.slice(2).split("=")
    const setting = known.get(name)
    if (setting === undefined && name !== "config") {
      return refuse(
        command,
        `unknown flag --${name}${didYouMean(name, names)}\nMost used: ${examples(names)}`,
      )
    }
    const bare = setting !== undefined && typeof setting.fallback === "boolean"
    const value = rest.length > 0 ? rest.join("=") : bare ? "true" : args[++index]
    if (value === undefined || (rest.length === 0 && !bare && value.startsWith("--"))) {
      return refuse(command, `--${name} takes ${setting?.expects ?? "a file"}`)
    }
    if (setting === undefined) file = value
    else flags[name] = value
  }
  if (command.actions !== undefined && action === null && !help) {
    return refuse(command, `it takes one of ${command.actions.join(", ")}`)
  }
  return { ok: true, value: { help, action, operand, switches: on, file, flags } }
}

const examples = (names: ReadonlyArray<string>) =>
  ["model", "host", "port", "data", "dtype", "config"]
    .filter((name) => names.includes(name))
    .map((name) => `--${name}`)
    .join(" ")
