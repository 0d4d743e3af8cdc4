// Checks the layout of all C++ files by the clang-format that npm brought; `--write` mends it.
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { root, say } from "./house.mjs"

const folders = ["native", join("test", "native"), join("test", "gpu")]

const sources = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.(h|cc|cu|cuh)$/.test(name) && !name.startsWith("build"))
    .map((name) => join(folder, name)),
)

const binary = createRequire(import.meta.url)("clang-format").getNativeBinary()
const write = process.argv.includes("--write")

const formatted = (file) => {
  const result = spawnSync(binary, ["--style=file", file], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  })
  if (result.status !== 0) {
    throw new Error(`clang-format ${file}: ${result.stderr || result.error?.message}`)
  }
  return result.stdout
}

const different = sources.filter((file) => {
  const path = join(root, file)
  const now = readFileSync(path, "utf8")
  const then = formatted(file)
  if (now !== then && write) writeFileSync(path, then)
  return now !== then
})

if (different.length > 0 && !write) {
  say(`differ from .clang-format (npm run format mends them):\n  ${different.join("\n  ")}`)
  process.exitCode = 1
}
