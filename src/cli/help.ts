// The texts of `sluice --help` and of each command's help, made from the tables of commands and
// settings so that they are complete by construction.
import { flagOf, type Setting, variableOf } from "../config/setting.ts"
import { settingsOf } from "./args.ts"
import { type Command, commands } from "./commands.ts"

const indent = "  "
const width = 26
const columns = 100
/** Of the longest command's name, and a space. */
const nameWidth = Math.max(...commands.map(({ name }) => name.length)) + 2

export const generalHelp = (version: string): string =>
  [
    `sluice ${version}: an LLM inference server that never loses a token`,
    "",
    "Usage: sluice <command> [flags]",
    "",
    "Commands:",
    ...commands.map(({ name, summary }) => `${indent}${name.padEnd(nameWidth)}${summary}`),
    "",
    "Flags:",
    `${indent}--help, -h   this text; sluice <command> --help: the command's flags`,
    `${indent}--version    the version`,
    "",
    "Settings come from sluice.yaml, then SLUICE_* variables, then flags; later ones win.",
    "`sluice config` prints what is in force and where it came from.",
    "",
    "Start with:  sluice serve",
  ].join("\n")

const groups: ReadonlyArray<readonly [prefix: string, title: string]> = [
  ["", "Flags:"],
  ["limits.", "Limits of what a client may ask:"],
  ["rate.", "How often a client may ask:"],
  ["tiers.", "Shares of the tiers where all wait:"],
  ["prices.", "What tokens and workers cost, for usage and business metrics:"],
  ["heartbeat.", "Idle streams:"],
  ["log.", "The log:"],
  ["worker.", "The worker and its engine:"],
  ["admin.", "Probes, metrics and administration:"],
  ["tls.", "A certificate of its own:"],
  ["tracing.", "Traces of requests:"],
  ["scripted.", "The scripted engine:"],
]

const inGroup = (prefix: string) => (setting: Setting<unknown>) =>
  prefix === "" ? !setting.key.includes(".") : setting.key.startsWith(prefix)

const shownDefault = (setting: Setting<unknown>): string => {
  const { fallback } = setting
  if (fallback === "" || (Array.isArray(fallback) && fallback.length === 0)) return ""
  if (setting.key === "model") return " Default: the bundled story model."
  return ` Default: ${setting.show(fallback)}.`
}

const flagLines = (setting: Setting<unknown>): ReadonlyArray<string> => {
  const head = setting.secret ? variableOf(setting.key) : `--${flagOf(setting.key)}`
  const from = setting.secret
    ? "Only from the file or the variable."
    : `Variable: ${variableOf(setting.key)}.`
  const text = wrapped(`${setting.about}${shownDefault(setting)}`)
  const blank = indent + " ".repeat(width)
  const rest = wrapped(`${from} ${capital(setting.expects)}.`)
  const fits = head.length < width
  return [
    fits ? `${indent}${head.padEnd(width)}${text[0]}` : `${indent}${head}`,
    ...[...text.slice(fits ? 1 : 0), ...rest].map((line) => blank + line),
  ]
}

/** Lines that end before column 100 beside the column of flags. */
const wrapped = (text: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + word.length >= columns - width - indent.length) {
      lines.push(line)
      line = ""
    }
    line += line === "" ? word : ` ${word}`
  }
  return [...lines, line]
}

const capital = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1)

/** Flags that are no settings: their name, what they take, and their sentence. */
const ownLines = ({ switches = [], options = [] }: Command): ReadonlyArray<string> => {
  const own = [
    ...options.map(([name, takes, about]) => [`--${name} ${takes}`, about] as const),
    ...switches.map(([name, about]) => [`--${name}`, about] as const),
  ]
  const lines = own.flatMap(([head, about]) => {
    const text = wrapped(about)
    const blank = indent + " ".repeat(width)
    const fits = head.length < width
    const first = fits ? [`${indent}${head.padEnd(width)}${text[0]}`] : [`${indent}${head}`]
    return [...first, ...text.slice(fits ? 1 : 0).map((line) => blank + line)]
  })
  return lines.length === 0 ? [] : ["", ...lines]
}

export const commandHelp = (command: Command, all: ReadonlyArray<Setting<unknown>>): string => {
  const settings = settingsOf(command, all)
  const sections = groups.flatMap(([prefix, title]) => {
    const members = settings.filter(inGroup(prefix))
    return members.length === 0 ? [] : ["", title, ...members.flatMap(flagLines)]
  })
  const named = command.actions?.join("|") ?? ""
  const actions = named === "" ? "" : command.actionOptional ? ` [${named}]` : ` ${named}`
  const operand = command.operand === undefined ? "" : ` ${command.operand}`
  return [
    `sluice ${command.name}: ${command.summary}`,
    "",
    ...command.about,
    "",
    `Usage: sluice ${command.name}${actions}${operand} [flags]`,
    ...ownLines(command),
    ...sections,
    "",
    "Everywhere:",
    `${indent}${"--config".padEnd(width)}A settings file; ./sluice.yaml is read where it exists.`,
    `${indent}${" ".repeat(width)}Variable: SLUICE_CONFIG. Keys as in \`sluice config\`.`,
    `${indent}${"--help, -h".padEnd(width)}This text.`,
    "",
    "Examples:",
    ...command.examples.flatMap(([line, what]) => [
      `${indent}${line}`,
      `${indent}${indent}${what}`,
    ]),
  ].join("\n")
}
