// All set-up, idempotent: dependencies as locked, the native engine as its sources are. Nothing is
// done twice, and nothing is done at all (in well under 0.2 s) when both are current.
import { dependenciesAreCurrent, installDependencies, seconds } from "./dependencies.mjs"
import { findNode, isMain, nodeSentence, root, runs, say, SetupError } from "./house.mjs"
import { missingForBuild, nodeTooOld } from "./prerequisites.mjs"
import { existsSync } from "node:fs"
import { join } from "node:path"

/** Resolves to the Node that runs Sluice. */
export const setup = async () => {
  const old = nodeTooOld()
  if (old !== null) throw new SetupError(old)
  // A checkout brings its lock file; the published package was installed by whoever has it.
  if (existsSync(join(root, "package-lock.json")) && !dependenciesAreCurrent()) {
    await installDependencies()
  }
  const node = findNode()
  if (node === null) throw new SetupError(nodeSentence)
  await buildPage()
  await buildAddon(node)
  await buildDeviceEngine()
  const { startGrammarBuild } = await import("./grammar.mjs")
  startGrammarBuild()
  return node
}

/** A page that cannot be built costs the console, not the server. */
const buildPage = async () => {
  const { buildConsole, consoleIsCurrent } = await import("./console.mjs")
  if (consoleIsCurrent()) return
  try {
    await buildConsole()
  } catch (error) {
    say(`sluice: the console's page could not be built, so there is none: ${error.message}`)
  }
}

export const buildAddon = async (node) => {
  const { addonIsCurrent } = await import("./addon.mjs")
  if (addonIsCurrent(node)) return
  const missing = missingForBuild()
  if (missing !== null) throw new SetupError(missing)
  say("sluice: building the native engine (once; a minute or two on two cores) ...")
  const started = performance.now()
  const code = await runs(node, [join(root, "ops", "setup", "addon.mjs")])
  if (code !== 0) {
    throw new SetupError(`The native engine could not be built; the reason is above (${code}).`)
  }
  say(`sluice: the native engine is built after ${seconds(started)} s`)
}

/** Where there is a CUDA compiler. One that fails costs the device, not the server. */
const buildDeviceEngine = async () => {
  const { buildEngine, cudaHome, engineIsCurrent } = await import("./cuda.mjs")
  const home = cudaHome()
  if (engineIsCurrent(home)) return
  say(`sluice: building the engine for GPUs with ${home} (once; some minutes) ...`)
  const started = performance.now()
  const code = await buildEngine(home)
  say(
    code === 0
      ? `sluice: the engine for GPUs is built after ${seconds(started)} s`
      : "sluice: the engine for GPUs could not be built; the engine runs on the CPU",
  )
}

/** Runs a script's main part: what goes wrong in a known way is one sentence and exit code 1. */
export const main = async (work) => {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
    process.exitCode = 1
  }
}

if (isMain(import.meta.url)) await main(setup)
