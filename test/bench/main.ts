// `npm run bench -- [name ...] [--small]`: runs test/bench/<name>.ts, each in a process of its own,
// and writes what it measured with the device, the commit and the parameters to
// test/bench/results/. Small runs are for seeing that a benchmark still works; their figures say
// nothing.
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export interface BenchOptions {
  readonly small: boolean
}

export type BenchResult = Readonly<Record<string, number | string>>

const folder = fileURLToPath(new URL(".", import.meta.url))
const results = join(folder, "results")
const noBench = new Set(["main.ts", "load.ts", "bareEngine.ts", "cpuSeconds.ts"])

const names = readdirSync(folder)
  .filter((name) => name.endsWith(".ts") && !noBench.has(name))
  .map((name) => name.slice(0, -3))

const git = (...args: ReadonlyArray<string>): string => {
  try {
    return execFileSync("git", args, { cwd: folder, encoding: "utf8" }).trim()
  } catch {
    return "unknown"
  }
}

const isaFlags = ["avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"]

const cpuFlags = (): string => {
  try {
    const found = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? ""
    return isaFlags.filter((flag) => found.split(" ").includes(flag)).join(" ")
  } catch {
    return "unknown"
  }
}

const device = () => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cpuFlags: cpuFlags(),
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
})

const commit = () => {
  const dirty = git("status", "--porcelain", "--untracked-files=no") !== ""
  return git("rev-parse", "--short=12", "HEAD") + (dirty ? "-changed" : "")
}

const runHere = async (name: string, options: BenchOptions): Promise<void> => {
  const bench: { readonly run: (options: BenchOptions) => Promise<BenchResult> } = await import(
    `./${name}.ts`
  )
  const started = performance.now()
  const measured = await bench.run(options)
  const report = {
    bench: name,
    parameters: options,
    at: new Date().toISOString(),
    commit: commit(),
    device: device(),
    tookSeconds: Math.round((performance.now() - started) / 1000),
    measured,
  }
  mkdirSync(results, { recursive: true })
  const file = join(results, `${name}${options.small ? ".small" : ""}.json`)
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
  process.stdout.write(`${name}: ${JSON.stringify(measured, null, 2)}\n`)
}

const main = async (args: ReadonlyArray<string>): Promise<number> => {
  const small = args.includes("--small")
  const asked = args.filter((arg) => !arg.startsWith("--"))
  const unknown = asked.filter((name) => !names.includes(name))
  if (unknown.length > 0) {
    process.stderr.write(`no benchmark ${unknown.join(", ")}; there are ${names.join(", ")}\n`)
    return 2
  }
  const here = asked[0]
  if (args.includes("--here") && here !== undefined) {
    await runHere(here, { small })
    return 0
  }
  let failed = 0
  for (const name of asked.length === 0 ? names : asked) {
    const self = fileURLToPath(import.meta.url)
    const flags = ["--here", ...(small ? ["--small"] : [])]
    const child = spawnSync(process.execPath, ["--expose-gc", self, name, ...flags], {
      stdio: ["ignore", "inherit", "inherit"],
    })
    if (child.status !== 0) failed++
  }
  return failed === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
