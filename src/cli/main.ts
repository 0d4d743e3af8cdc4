// Where every `sluice` command begins: finds the command, and loads only what it needs. Exit codes:
// 0 done, 1 it cannot be done, 2 the command line or the configuration is wrong, 130 asked twice to
// stop.
import { readFileSync } from "node:fs"
import { enableCompileCache } from "node:module"
import { join } from "node:path"
import { packageRoot } from "../config/packageRoot.ts"
import { didYouMean } from "../config/suggest.ts"
import { type Command, commands, isProcess } from "./commands.ts"
import { startProcess, startThread } from "./startThread.ts"

// A third of a start is compiling what has not changed since the last one. Beside the package and
// not in a folder that others may write to; where that is read-only, it only takes longer.
enableCompileCache(join(packageRoot, "node_modules", ".cache", "sluice"))

const out = (text: string) => process.stdout.write(`${text}\n`)
const err = (text: string) => process.stderr.write(`${text}\n`)

const version = (): string => {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"))
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown"
}

const unknownCommand = (given: string): number => {
  const names = commands.map(({ name }) => name)
  err(`sluice: unknown command "${given}"${didYouMean(given, names)}`)
  err(`Commands: ${names.join(", ")}. More: sluice --help`)
  return 2
}

const asksForHelp = (args: ReadonlyArray<string>) => args.some((arg) => /^(-h|--help)$/.test(arg))

/** A guess that only saves time: the configuration decides. */
const isDevelopment = (args: ReadonlyArray<string>) =>
  args.includes("--development") || process.env["SLUICE_DEVELOPMENT"] === "true"

const startEarly = (args: ReadonlyArray<string>) =>
  isDevelopment(args) ? startProcess() : startThread()

const runCommand = async (command: Command, args: ReadonlyArray<string>): Promise<number> => {
  const thread = command.name === "serve" && !asksForHelp(args) ? startEarly(args) : null
  const { allSettings } = await import("../config/settings.ts")
  const { parseArgs } = await import("./args.ts")
  const parsed = parseArgs(command, args, allSettings)
  if (!parsed.ok) {
    err(parsed.message)
    return 2
  }
  const { help, action, operands, switches, options, file, flags } = parsed.value
  if (help) {
    const { commandHelp } = await import("./help.ts")
    out(commandHelp(command, allSettings))
    return 0
  }
  const { load } = await import("./loadSettings.ts")
  const loaded = await load({ file, flags, variables: process.env, folder: process.cwd() })
  if (typeof loaded === "string") {
    err(loaded)
    return 2
  }
  if (isProcess(command.name)) {
    const { runProcess } = await import("./runProcess.ts")
    return runProcess({ kind: command.name, config: loaded.config, thread })
  }
  if (command.name === "topics") {
    const { topicsCommand } = await import("./topics.ts")
    return topicsCommand(loaded.config, switches.has("dry-run"), { out, err })
  }
  if (command.name === "schemas") {
    const { schemasCommand } = await import("./schemas.ts")
    return schemasCommand(loaded.config, action === "register", { out, err })
  }
  if (command.name === "dead-letters") {
    const { deadLettersCommand } = await import("./deadLetters.ts")
    const name = operands[0] ?? null
    const asked = { action: action ?? "", name, withPrompts: switches.has("prompts") }
    return deadLettersCommand(loaded.config, asked, { out, err })
  }
  if (command.name === "config" && action !== null) {
    const { configChanges } = await import("./configChanges.ts")
    return configChanges(loaded.config, { action, operands }, { out, err })
  }
  if (command.name === "record") {
    const { recordCommand } = await import("./replay/record.ts")
    return recordCommand(loaded.config, { action, operands, options, switches }, { out, err })
  }
  if (command.name === "replay") {
    const { replayCommand } = await import("./replay/replay.ts")
    const given = { action, operands, options, switches }
    return replayCommand(loaded.config, given, { out, err })
  }
  if (command.name === "quantize") {
    const { quantizeCommand } = await import("./quantize.ts")
    return quantizeCommand(loaded.config, parsed.value, { out, err })
  }
  if (command.name === "plan") {
    return (await import("./plan.ts")).planCommand(options, { out, err })
  }
  if (command.name === "rollout") {
    const asked = { action: action ?? "", operands, options }
    return (await import("./rollout.ts")).rolloutCommand(loaded.config, asked, { out, err })
  }
  if (command.name === "doctor") {
    return (await import("./doctor.ts")).doctor(loaded.config, out)
  }
  const { printConfig } = await import("./printConfig.ts")
  out(printConfig(loaded))
  return 0
}

const main = async (args: ReadonlyArray<string>): Promise<number> => {
  const [first = "--help", ...rest] = args
  if (first === "--version" || first === "-v") {
    out(version())
    return 0
  }
  if (first === "--help" || first === "-h" || first === "help") {
    const { generalHelp } = await import("./help.ts")
    out(generalHelp(version()))
    return 0
  }
  const command = commands.find(({ name }) => name === first)
  return command === undefined ? unknownCommand(first) : runCommand(command, rest)
}

process.exit(await main(process.argv.slice(2)))
