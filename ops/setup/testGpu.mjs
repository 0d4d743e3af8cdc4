// `npm run test:gpu`: everything that is tested on a device, on a machine that has one and a CUDA
// compiler. Builds, then: kernels and models against their references, the engine's promises to the
// bit, golden ids, the CPU's engine beside, a soak; a device that fails under a live worker; tiny
// models of each family against transformers where Python has it; and the kernels under
// compute-sanitizer where that works.
//
//   npm run test:gpu [-- --soak SECONDS] [--bin FOLDER]      600 seconds unless said otherwise
//
// --bin takes programs that were built elsewhere.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { cudaHome } from "./cuda.mjs"
import { answers, root, say } from "./house.mjs"

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : process.argv[at + 1]
}

const soakSeconds = option("soak", "600")
const bin = option("bin", join(root, "native", "build", "gpu-bin"))
const env = { ...process.env, SLUICE_SOAK_SECONDS: soakSeconds }
const results = []

const step = (name, command, args, minutesMax) => {
  say(`\nsluice: ${name}`)
  const run = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: "inherit",
    timeout: minutesMax * 60_000,
  })
  results.push([name, run.status === 0])
  return run.status === 0
}

const build = () => {
  if (existsSync(join(bin, "gpu_test"))) return true
  const home = cudaHome()
  if (home === null) {
    say("sluice: the tests on a device need a CUDA compiler: set CUDA_HOME or put nvcc on the PATH")
    return false
  }
  return step("build", "make", ["-C", "test/gpu", "-j8", `CUDA_HOME=${home}`, `OUT=${bin}`], 30)
}

/** Small tests that meet every kernel: the tools slow each down by 10 to 100 times. */
const sanitized = "sanitizer"

const sanitize = () => {
  const program = process.env.COMPUTE_SANITIZER ?? "compute-sanitizer"
  if (answers(program, ["--version"]) === null) {
    say("\nsluice: compute-sanitizer is not here, so nothing was run under it")
    return
  }
  for (const tool of ["memcheck", "racecheck", "initcheck"]) {
    const args = ["--tool", tool, "--error-exitcode", "9", join(bin, "gpu_test"), sanitized]
    step(`compute-sanitizer ${tool}`, program, args, 15)
  }
}

const compareWithTransformers = () => {
  const python = process.env.SLUICE_PYTHON ?? "python3"
  if (answers(python, ["-c", "import torch, transformers"]) === null) {
    say("\nsluice: Python has no torch and transformers here, so nothing was compared with them")
    return
  }
  const script = join("test", "gpu", "transformers_peer.py")
  step("families against transformers", python, [script, join(bin, "device_logits")], 10)
}

if (build()) {
  step("tests", join(bin, "gpu_test"), [], 20 + Math.ceil(Number(soakSeconds) / 60))
  const faulty = join(bin, "faulty_engine.so")
  step("a lost device", process.execPath, [join("test", "gpu", "deviceLost.ts"), faulty], 5)
  compareWithTransformers()
  sanitize()
} else {
  results.push(["build", false])
}
process.stdout.write("\n")
for (const [name, ok] of results) process.stdout.write(`  ${ok ? "ok    " : "FAILED"} ${name}\n`)
process.exitCode = results.every(([, ok]) => ok) ? 0 : 1
