// Lists the addon's sources for binding.gyp: `node sources.mjs avx2|avx512|baseline`, one a line,
// relative to this folder. The suffix of a file's name says which instructions it may use; what
// lies in a folder named cuda is the device's backend, which cuda.mk builds apart.
import { readdirSync } from "node:fs"
import { join, sep } from "node:path"

const folders = ["addon", "engine", "model", "kernels", "runtime"]
const suffixes = { avx2: "_avx2.cc", avx512: "_avx512.cc" }
const wanted = suffixes[process.argv[2]]

const sources = folders
  .flatMap((folder) =>
    readdirSync(join(import.meta.dirname, folder), { recursive: true }).map((file) =>
      join(folder, file),
    ),
  )
  .filter((file) => file.endsWith(".cc") && !file.split(sep).includes("cuda"))
  .filter((file) =>
    wanted === undefined
      ? !Object.values(suffixes).some((suffix) => file.endsWith(suffix))
      : file.endsWith(wanted),
  )
  .sort()
process.stdout.write(sources.join("\n") + "\n")
