// Packages from npm that only a conformance test needs: installed once under .cache, each set in a
// folder of its own, and imported from there.
import { execFile } from "node:child_process"
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { projectRoot } from "../shared.ts"

const run = promisify(execFile)

export interface NpmClient {
  readonly folder: string
  /** null once the packages are there; otherwise why they cannot be. */
  readonly missing: string | null
}

/** Exact versions, by name; the first names the folder. */
export const npmClient = async (packages: Readonly<Record<string, string>>): Promise<NpmClient> => {
  const specs = Object.entries(packages).map(([name, version]) => `${name}@${version}`)
  const folder = join(projectRoot, ".cache", (specs[0] ?? "").replace(/^@/, "").replace("/", "-"))
  const done = join(folder, "installed")
  if (existsSync(done)) return { folder, missing: null }
  try {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n')
    const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    const quiet = { cwd: folder, timeout: 180_000 }
    await run("npm", ["install", "--prefer-offline", ...options, ...specs], quiet)
    writeFileSync(done, "")
    return { folder, missing: null }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    const text = error instanceof Error ? error.message : String(error)
    const why = text.trim().split("\n").at(-1)
    return { folder, missing: `npm cannot install ${specs.join(", ")} here: ${why}` }
  }
}
