// `npm run console`: the console's page, from src/console/page to dist/console, with what travels
// compressed beside it. Done once, and again when one of its sources changed.
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { brotliCompressSync } from "node:zlib"
import { isMain, root } from "./house.mjs"

const page = join(root, "src", "console", "page")
const out = join(root, "dist", "console")
const stamp = join(out, ".stamp")

const sources = [page, join(root, "src", "client"), join(root, "ops", "setup", "console.mjs")]

const filesOf = (path) =>
  path.endsWith(".mjs") ? [path] : readdirSync(path).map((name) => join(path, name))

const digest = () => {
  const hash = createHash("sha256")
  for (const file of sources.flatMap(filesOf).sort()) hash.update(readFileSync(file))
  return hash.digest("hex")
}

/** The published package brings the page and not its sources. */
export const consoleIsCurrent = () =>
  !existsSync(page) || (existsSync(stamp) && readFileSync(stamp, "utf8") === digest())

export const buildConsole = async () => {
  const { build } = await import("vite")
  await build({
    root: page,
    base: "/console/",
    configFile: false,
    logLevel: "warn",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: { outDir: out, emptyOutDir: true, modulePreload: false, assetsInlineLimit: 0 },
  })
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    writeFileSync(`${path}.br`, brotliCompressSync(readFileSync(path)))
  }
  writeFileSync(stamp, digest())
}

if (isMain(import.meta.url)) await buildConsole()
