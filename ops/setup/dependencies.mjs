// node_modules as package-lock.json says: looks first, runs `npm ci` only where something differs.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { root, runs, say, SetupError } from "./house.mjs"

const read = (path) => JSON.parse(readFileSync(path, "utf8")).packages

/** True when every package that this platform needs is installed in the locked version. */
export const dependenciesAreCurrent = () => {
  const installedFile = join(root, "node_modules", ".package-lock.json")
  if (!existsSync(installedFile)) return false
  try {
    const installed = read(installedFile)
    return Object.entries(read(join(root, "package-lock.json"))).every(
      ([path, locked]) =>
        path === "" ||
        (installed[path] === undefined
          ? locked.optional === true
          : installed[path].version === locked.version),
    )
  } catch {
    return false
  }
}

export const installDependencies = async () => {
  const packages = Object.keys(read(join(root, "package-lock.json"))).length - 1
  say(`sluice: installing dependencies (${packages} packages; 10 s or so) ...`)
  const started = performance.now()
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"]
  // Under npm, the same npm; a machine's own npm otherwise.
  const npm = process.env.npm_execpath
  const viaNode = npm !== undefined && /\.c?js$/.test(npm) && existsSync(npm)
  const code = viaNode
    ? await runs(process.execPath, [npm, ...args])
    : await runs("npm", args, { shell: process.platform === "win32" })
  if (code !== 0) {
    throw new SetupError(
      code === -1
        ? "npm is not on the PATH; it comes with Node (Debian: sudo apt-get install npm)."
        : `npm ci failed with exit code ${code}; its own message is above.`,
    )
  }
  say(`sluice: dependencies are in place after ${seconds(started)} s`)
}

export const seconds = (started) => ((performance.now() - started) / 1000).toFixed(1)
