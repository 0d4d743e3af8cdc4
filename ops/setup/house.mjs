// What all set-up scripts share: where things are, which Node runs the sources, how a child runs.
// Plain JavaScript without dependencies: it must work on Node 20 with nothing installed.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism, constants } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

export const root = fileURLToPath(new URL("../../", import.meta.url))

/** The first Node that runs TypeScript sources as they are and has all that Sluice uses. */
const nodeLeast = [22, 19]

const isEnough = (version) => {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number)
  return major > nodeLeast[0] || (major === nodeLeast[0] && minor >= nodeLeast[1])
}

/** The Node that runs Sluice: the one npm brought, else this one if it is new enough, else null. */
export const findNode = () => {
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
  try {
    const manifest = createRequire(join(root, "package.json")).resolve(`${name}/package.json`)
    const binary = process.platform === "win32" ? "bin/node.exe" : "bin/node"
    const path = join(dirname(manifest), binary)
    if (existsSync(path)) return path
  } catch {
    // No package for this platform, or nothing installed yet.
  }
  return isEnough(process.versions.node) ? process.execPath : null
}

export const nodeSentence =
  `Sluice needs Node ${nodeLeast.join(".")} or newer; this is ${process.version}, and npm has ` +
  `brought none for ${process.platform} ${process.arch}. Install a newer Node and try again.`

export class SetupError extends Error {}

export const say = (line) => process.stderr.write(`${line}\n`)

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"]

/**
 * Runs a command to its end with our output; resolves to its exit code, -1 if it cannot start. When
 * this process is asked to stop, the command and all that it started stop with it.
 */
export const runs = (command, args, options = {}) =>
  new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      detached: process.platform !== "win32",
      ...options,
    })
    const stop = (signal) => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
      process.exit(128 + constants.signals[signal])
    }
    for (const signal of stopSignals) process.on(signal, stop)
    const end = (code) => {
      for (const signal of stopSignals) process.off(signal, stop)
      resolve(code)
    }
    child.once("error", () => end(-1))
    child.once("close", (code, signal) => end(code ?? 128 + (constants.signals[signal] ?? 0)))
  })

/** What a command says, trimmed; null if it fails or is not there. */
export const answers = (command, args, input = "") => {
  const result = spawnSync(command, args, { encoding: "utf8", input, timeout: 60_000 })
  return result.status === 0 ? result.stdout.trim() : null
}

/**
 * How the server's Node is started. V8 takes four threads beside its own for collecting garbage,
 * however few cores there are: on two they hold up what they should help.
 */
export const nodeFlags = () => [
  `--v8-pool-size=${Math.min(4, Math.max(1, availableParallelism() - 1))}`,
]

/** This process becomes `node args`: same terminal, same signals, same exit code. */
export const become = (node, args) => {
  if (process.execve && process.platform !== "win32") {
    process.execve(node, [node, ...args], process.env)
  }
  // An older Node stays in between: it hands every signal on and leaves as its child left.
  const child = spawn(node, args, { stdio: "inherit" })
  for (const signal of stopSignals) {
    process.on(signal, () => child.kill(signal))
  }
  child.once("error", (error) => {
    say(`cannot start ${node}: ${error.message}`)
    process.exitCode = 1
  })
  child.once("close", (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0))
  })
}

/** True where the module with this URL is what Node was started with. */
export const isMain = (url) =>
  process.argv[1] !== undefined && url === pathToFileURL(realpathSync(process.argv[1])).href
