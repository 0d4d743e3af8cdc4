// Builds libsluice_grammar.so (native/grammar, llguidance in Rust) beside the addon where there is
// cargo: it is what structured output needs, and nothing else does. Idempotent like the addon's
// build. Set-up starts it in the background and waits for nothing: a server takes the library up
// when it is there.
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { homedir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { answers, isMain, root, runs, say } from "./house.mjs"

const crate = join(root, "native", "grammar")
const crates = join(crate, "crates.lock")
const lock = join(crate, "Cargo.lock")
const manifest = join(crate, "Cargo.toml")
const build = join(root, "native", "build")
const target = join(build, "grammar")
const fileName = "libsluice_grammar.so"
const library = join(build, "Release", fileName)
const stamp = join(build, "grammar.stamp")
const logFile = join(build, "grammar.log")

const hashOfInputs = () => {
  const hash = createHash("sha256")
  const sources = readdirSync(join(crate, "src")).map((file) => join(crate, "src", file))
  for (const file of [join(crate, "Cargo.toml"), crates, ...sources.sort()]) {
    const text = readFileSync(file)
    hash.update(`${file.slice(root.length)} ${text.length}\n`).update(text)
  }
  return hash.update(`${process.platform} ${process.arch}`).digest("hex")
}

/** On the PATH, or where rustup puts it; null where there is none. */
const findCargo = () =>
  ["cargo", join(homedir(), ".cargo", "bin", "cargo")].find(
    (command) => answers(command, ["--version"]) !== null,
  ) ?? null

export const grammarIsCurrent = () =>
  existsSync(library) && existsSync(stamp) && readFileSync(stamp, "utf8") === hashOfInputs()

/**
 * Cargo.lock, from the crates we pin and the registry that this cargo knows: it writes a lock of
 * its own choice first, which tells how it names that registry. Resolves to cargo's exit code.
 */
const writeLock = async (cargo) => {
  rmSync(lock, { force: true })
  const code = await runs(cargo, ["generate-lockfile", "--manifest-path", manifest])
  if (code !== 0) return code
  const source = /^source = .*$/m.exec(readFileSync(lock, "utf8"))?.[0] ?? ""
  const pinned = readFileSync(crates, "utf8").replace(/^checksum = /gm, `${source}\n$&`)
  writeFileSync(lock, pinned)
  return 0
}

/** Beside what uses it, in one move: it may be opened at any moment. Cargo keeps two apart. */
const buildLibrary = async (cargo) => {
  if (grammarIsCurrent()) return 0
  const inputs = hashOfInputs()
  const env = { ...process.env, CARGO_TARGET_DIR: target }
  const args = ["build", "--release", "--locked", "--manifest-path", manifest]
  const code = (await writeLock(cargo)) || (await runs(cargo, args, { env }))
  if (code !== 0) return code
  const suffix = process.platform === "darwin" ? "dylib" : "so"
  mkdirSync(dirname(library), { recursive: true })
  const fresh = `${library}.${process.pid}`
  copyFileSync(join(target, "release", `libsluice_grammar.${suffix}`), fresh)
  renameSync(fresh, library)
  writeFileSync(stamp, inputs)
  return 0
}

/** Starts the build where it can be made and is wanted; it outlives this process. */
export const startGrammarBuild = () => {
  if (grammarIsCurrent() || findCargo() === null) return
  mkdirSync(build, { recursive: true })
  const log = openSync(logFile, "w")
  // Behind everything else: the server's first tokens come before it.
  const command = process.platform === "win32" ? process.execPath : "nice"
  const script = fileURLToPath(import.meta.url)
  const args = process.platform === "win32" ? [script] : ["-n", "19", process.execPath, script]
  const child = spawn(command, args, { cwd: root, detached: true, stdio: ["ignore", log, log] })
  child.once("error", () => {})
  child.unref()
  say("sluice: building the grammar library in the background (once; a minute or two)")
}

if (isMain(import.meta.url)) {
  const cargo = findCargo()
  if (cargo !== null) {
    process.exitCode = await buildLibrary(cargo)
  } else {
    say("sluice: there is no cargo (https://rustup.rs): the grammar library cannot be built")
    process.exitCode = 1
  }
}
