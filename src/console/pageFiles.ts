// The console's built page, in memory: a handful of files that set-up made (ops/setup/console.mjs),
// each as it is and compressed. Nothing is read from the disk on a request's behalf, so no path can
// lead out of the folder.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { extname, join } from "node:path"
import { Result } from "effect"
import { packageRoot } from "../config/packageRoot.ts"

export interface PageFile {
  readonly type: string
  readonly bytes: Buffer
  /** Brotli; null where set-up made none. */
  readonly compressed: Buffer | null
  /** Its name changes with its content. */
  readonly isForEver: boolean
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
}

const pageFolder = join(packageRoot, "dist", "console")

const read = (): ReadonlyMap<string, PageFile> => {
  const files = new Map<string, PageFile>()
  for (const entry of readdirSync(pageFolder, { recursive: true, withFileTypes: true })) {
    const type = types[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const whole = join(entry.parentPath, entry.name)
    files.set(whole.slice(pageFolder.length + 1).replaceAll("\\", "/"), {
      type,
      bytes: readFileSync(whole),
      compressed: existsSync(`${whole}.br`) ? readFileSync(`${whole}.br`) : null,
      isForEver: entry.parentPath.endsWith("assets"),
    })
  }
  return files
}

/** Empty where the page was not built. Takes a few milliseconds: not at a server's start. */
export const readPage = (): ReadonlyMap<string, PageFile> =>
  Result.getOrElse(Result.try(read), () => new Map())
