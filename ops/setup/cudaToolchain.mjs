// `npm run cuda:toolchain`: brings NVIDIA's CUDA compiler from PyPI into .cache/cuda, for machines
// without one: enough to compile and link the device's backend, with no GPU and no driver. Pinned,
// because nvcc, its front end and its headers must be of one version.
import { existsSync, mkdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { ownToolchain } from "./cuda.mjs"
import { runs, say } from "./house.mjs"

const packages = [
  "nvidia-cuda-nvcc==13.0.88",
  "nvidia-nvvm==13.0.88",
  "nvidia-cuda-crt==13.0.88",
  "nvidia-cuda-cccl==13.0.85",
  "nvidia-cuda-runtime==13.0.96",
]

const home = join(ownToolchain, "nvidia", "cu13")

const install = async () => {
  if (existsSync(join(home, "bin", "nvcc"))) return 0
  mkdirSync(ownToolchain, { recursive: true })
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
  const python = process.env.SLUICE_PYTHON ?? "python3"
  const target = ["--target", ownToolchain]
  const code = await runs(python, ["-m", "pip", "install", ...quiet, ...target, ...packages])
  // nvcc looks in lib64, the packages have lib.
  if (code === 0) symlinkSync("lib", join(home, "lib64"))
  return code
}

process.exitCode = await install()
if (process.exitCode === 0) say(`sluice: nvcc is in ${join(".cache", "cuda")}`)
