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
  readonly operands: ReadonlyArray<string>
  readonly switches: ReadonlySet<string>
  /** By name: flags that are no settings and have a value. */
  readonly options: ReadonlyMap<string, string>
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

/** What has been read so far; `next` takes words off the line. */
interface Reading {
  readonly command: Command
  readonly known: ReadonlyMap<string, Setting<unknown>>
  readonly names: ReadonlyArray<string>
  readonly flags: Record<string, string>
  readonly switches: Set<string>
  readonly options: Map<string, string>
  readonly operands: Array<string>
  readonly next: () => string | undefined
  file: string | null
  help: boolean
  action: string | null
}

/** A word that is no flag: the action, or what it is to be done to. */
const readWord = (reading: Reading, word: string): string | null => {
  const { command, operands } = reading
  const isAction = reading.action === null && operands.length === 0
  if (isAction && command.actions?.includes(word) === true) {
    reading.action = word
    return null
  }
  const mayFollow = reading.action !== null || command.actionOptional === true
  const most = command.operand === undefined ? 0 : (command.operandsMax ?? 1)
  if (mayFollow && operands.length < most) {
    operands.push(word)
    return null
  }
  return `unexpected "${word}"; it takes flags such as ${examples(reading.names)}`
}

const readFlag = (reading: Reading, arg: string): string | null => {
  const { command, known, names } = reading
  const [name = "", ...rest] = arg.slice(2).split("=")
  if (command.switches?.some(([own]) => own === name) === true && rest.length === 0) {
    reading.switches.add(name)
    return null
  }
  const option = command.options?.find(([own]) => own === name)
  const setting = known.get(name)
  if (option === undefined && setting === undefined && name !== "config") {
    return `unknown flag --${name}${didYouMean(name, names)}\nMost used: ${examples(names)}`
  }
  const bare = setting !== undefined && typeof setting.fallback === "boolean"
  const value = rest.length > 0 ? rest.join("=") : bare ? "true" : reading.next()
  if (value === undefined || (rest.length === 0 && !bare && value.startsWith("--"))) {
    return `--${name} takes ${option?.[1] ?? setting?.expects ?? "a file"}`
  }
  if (option !== undefined) reading.options.set(name, value)
  else if (setting === undefined) reading.file = value
  else reading.flags[name] = value
  return null
}

const readArg = (reading: Reading, arg: string): string | null => {
  if (arg === "--help" || arg === "-h") {
    reading.help = true
    return null
  }
  if (arg.startsWith("--")) return readFlag(reading, arg)
  if (!arg.startsWith("-") || arg === "-") return readWord(reading, arg)
  return `unknown flag ${arg}; it takes flags such as ${examples(reading.names)}`
}

export const parseArgs = (
  command: Command,
  args: ReadonlyArray<string>,
  all: ReadonlyArray<Setting<unknown>>,
): ParsedArgs => {
  const settings = settingsOf(command, all).filter((setting) => !setting.secret)
  const known = new Map(settings.map((setting) => [flagOf(setting.key), setting]))
  const own = [...(command.switches ?? []), ...(command.options ?? [])].map(([name]) => name)
  const names = [...own, ...known.keys(), "config", "help"]
  let index = 0
  const reading: Reading = {
    command,
    known,
    names,
    flags: {},
    switches: new Set(),
    options: new Map(),
    operands: [],
    next: () => args[index++],
    file: null,
    help: false,
    action: null,
  }
  for (let arg = reading.next(); arg !== undefined; arg = reading.next()) {
    const refused = readArg(reading, arg)
    if (refused !== null) return refuse(command, refused)
  }
  const { help, action, operands, switches, options, file, flags } = reading
  const needsAction = command.actions !== undefined && command.actionOptional !== true
  if (needsAction && action === null && !help) {
    return refuse(command, `it takes one of ${command.actions?.join(", ") ?? ""}`)
  }
  return { ok: true, value: { help, action, operands, switches, options, file, flags } }
}

const examples = (names: ReadonlyArray<string>) =>
  ["target", "rate", "from", "model", "host", "port", "data", "dtype", "config"]
    .filter((name) => names.includes(name))
    .map((name) => `--${name}`)
    .join(" ")
