// The project's own text files as the tidy test sees them, found by walking the tree: what is
// ignored by git (built, installed, data) is left out by name.
import { readdirSync, readFileSync } from "node:fs"
import { join, relative, sep } from "node:path"
import { projectRoot } from "../shared.ts"

const leftOut = new Set(["node_modules", ".git", "dist", "data", ".cache", ".gpu", "build"])

const walk = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (leftOut.has(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return walk(path)
    return entry.isFile() ? [relative(projectRoot, path).split(sep).join("/")] : []
  })

/** Every file, by its path from the project's root, with forward slashes. */
export const allFiles: ReadonlyArray<string> = walk(projectRoot).filter(
  (path) => !path.startsWith("test/bench/results/"),
)

const texts = new Map<string, string>()

export const textOf = (path: string): string => {
  const known = texts.get(path)
  if (known !== undefined) return known
  const text = readFileSync(join(projectRoot, path), "utf8")
  texts.set(path, text)
  return text
}

export const linesOf = (path: string): ReadonlyArray<string> => {
  const lines = textOf(path).split("\n")
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines
}

export const isGenerated = (path: string): boolean => /^schemas\/(types|avro)\.ts$/.test(path)

/** The console's page is a program of its own, for browsers: what it imports, Vite sees. */
const isPage = (path: string): boolean => path.startsWith("src/console/page/")

export const typescript = allFiles.filter(
  (path) => path.endsWith(".ts") && !isGenerated(path) && !isPage(path),
)
export const scripts = allFiles.filter((path) => path.endsWith(".mjs"))
export const native = allFiles.filter((path) => /\.(h|cc|cu|cuh)$/.test(path))
export const markdown = allFiles.filter((path) => path.endsWith(".md"))

/** What runs in a server: no tests, no tools. */
export const product = typescript.filter((path) => /^(src|streams|schemas)\//.test(path))
