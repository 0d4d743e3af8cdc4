// Builds engine_cuda.so, the device's backend, beside the addon, where there is a CUDA compiler:
// CUDA_HOME, nvcc on the PATH, the usual folder, or the compiler that cudaToolchain.mjs brought.
// Idempotent like the addon's build. Where there is none, nothing is missing: the CPU serves.
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { answers, isMain, root, runs, say } from "./house.mjs"

const native = join(root, "native")
const engine = join(native, "build", "Release", "engine_cuda.so")
const stamp = join(native, "build", "engine_cuda.stamp")

/** Where cudaToolchain.mjs puts a compiler for those who have none. */
export const ownToolchain = join(root, ".cache", "cuda")

/** The folder whose bin holds nvcc; null where there is none. */
export const cudaHome = () => {
  const onPath = answers("sh", ["-c", "command -v nvcc"])
  const candidates = [
    process.env.CUDA_HOME,
    process.env.CUDA_PATH,
    onPath === null || onPath === "" ? undefined : dirname(dirname(onPath)),
    "/usr/local/cuda",
    join(ownToolchain, "nvidia", "cu13"),
  ]
  return candidates.find((home) => home && existsSync(join(home, "bin", "nvcc"))) ?? null
}

const sourceFolders = ["model", "kernels", "runtime"]

const inputsOf = (home, archs) => {
  const hash = createHash("sha256")
  const files = sourceFolders.flatMap((folder) =>
    readdirSync(join(native, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(cc|cu|cuh|h)$/.test(entry.name))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name)),
  )
  for (const file of [...files.sort(), join(native, "cuda.mk")]) {
    const text = readFileSync(file)
    hash.update(`${file.slice(native.length)} ${text.length}\n`).update(text)
  }
  return hash.update(`${home} ${archs}`).digest("hex")
}

/** True where there is nothing to build: no compiler, or all is as the sources are. */
export const engineIsCurrent = (home, archs = archsWished()) =>
  home === null ||
  (existsSync(engine) && existsSync(stamp) && readFileSync(stamp, "utf8") === inputsOf(home, archs))

/** `dev`: the chip of H100 and H200 alone; `all`: every chip that is supported. */
const archsWished = () => process.env.SLUICE_CUDA_ARCHS ?? "dev"

/** Resolves to make's exit code; 0 where there is nothing to do. */
export const buildEngine = async (home = cudaHome(), archs = archsWished()) => {
  if (engineIsCurrent(home, archs)) return 0
  const inputs = inputsOf(home, archs)
  const build = join("build", `cuda-${archs}`)
  const settings = [`CUDA_HOME=${home}`, `ARCHS=${archs}`, `BUILD=${build}`]
  const jobs = `-j${availableParallelism()}`
  const args = ["-s", "-C", native, "-f", "cuda.mk", jobs, ...settings]
  const code = await runs("make", [...args, "all"])
  if (code !== 0) return code
  mkdirSync(dirname(engine), { recursive: true })
  writeFileSync(engine, readFileSync(join(native, build, "engine_cuda.so")))
  writeFileSync(stamp, inputs)
  return 0
}

if (isMain(import.meta.url)) {
  const home = cudaHome()
  if (home === null) {
    say("sluice: no CUDA compiler was found (CUDA_HOME, nvcc): the engine runs on the CPU")
  } else {
    process.exitCode = await buildEngine(home)
  }
}
