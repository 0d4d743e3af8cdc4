// Builds the addon with node-gyp and the headers beside the Node that runs this script: nothing is
// downloaded, and a user's npmrc cannot slip in other headers. Idempotent: a stamp says which
// sources and which Node the built addon fits, and a second process waits for the first one's
// build. Importing this file builds nothing.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { dirname, join, sep } from "node:path"
import { setTimeout } from "node:timers/promises"
import { isMain, root, say } from "./house.mjs"

const native = join(root, "native")
const addon = join(native, "build", "Release", "sluice_engine.node")
const stamp = join(native, "build", "addon.stamp")
const lock = join(native, "build", "addon.lock")
const sourceFolders = ["addon", "engine", "model", "kernels", "runtime"]

/** Each takes up to half a GB of memory. */
const compilersMax = 4

const filesUnder = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(cc|h)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.split(sep).includes("cuda"))

/** Node's installation: bin/node and include/node lie side by side, in npm's package too. */
const nodeRoot = (node) => dirname(dirname(realpathSync(node)))

const hashOfInputs = (node) => {
  const hash = createHash("sha256")
  const sources = sourceFolders.flatMap((folder) => filesUnder(join(native, folder))).sort()
  for (const file of [...sources, join(native, "binding.gyp"), join(native, "sources.mjs")]) {
    const text = readFileSync(file)
    hash.update(`${file.slice(native.length)} ${text.length}\n`).update(text)
  }
  const version = join(nodeRoot(node), "include", "node", "node_version.h")
  if (existsSync(version)) hash.update(readFileSync(version))
  return hash.update(`${process.platform} ${process.arch} ${nodeRoot(node)}`).digest("hex")
}

/** True where the built addon fits the sources as they are and this Node. */
export const addonIsCurrent = (node) =>
  existsSync(addon) && existsSync(stamp) && readFileSync(stamp, "utf8") === hashOfInputs(node)

const build = (node) => {
  const nodedir = nodeRoot(node)
  if (!existsSync(join(nodedir, "include", "node", "node_api.h"))) {
    say(`There are no Node headers under ${nodedir}/include: run this by npm (npm run native).`)
    return 1
  }
  const env = { ...process.env }
  // It would win over --nodedir and build against another Node without a word.
  for (const name of Object.keys(env)) {
    if (name.toLowerCase() === "npm_config_nodedir") delete env[name]
  }
  const gyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js")
  const jobs = Math.min(compilersMax, availableParallelism())
  const args = [gyp, "configure", "build", `--nodedir=${nodedir}`, `--jobs=${jobs}`]
  const inputs = hashOfInputs(node)
  const run = spawnSync(node, [...args, "--loglevel=error"], {
    cwd: native,
    env,
    stdio: ["ignore", 2, 2],
  })
  if (run.status === 0) writeFileSync(stamp, inputs)
  return run.status ?? 1
}

const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** False where another process holds it. A lock whose owner is gone is taken over. */
const takeLock = () => {
  mkdirSync(dirname(lock), { recursive: true })
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" })
    return true
  } catch {
    const owner = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0
    // An empty lock is one being written, unless it has been so for seconds.
    const isAbandoned = owner > 0 ? !isAlive(owner) : isOld(lock)
    if (isAbandoned) rmSync(lock, { force: true })
    return false
  }
}

const isOld = (file) => existsSync(file) && Date.now() - statSync(file).mtimeMs > 5000

const main = async () => {
  const node = process.execPath
  while (!takeLock()) await setTimeout(200)
  try {
    process.exitCode = addonIsCurrent(node) ? 0 : build(node)
  } finally {
    rmSync(lock, { force: true })
  }
}

if (isMain(import.meta.url)) await main()
