// The engine alone on a GPU: decode, crowds and prefill of common shapes with random weights,
// beside what the device reads and multiplies in the same run. The work is test/bench/gpu's
// program, since nothing of the engine is in JavaScript; here its figures become shares of those
// ceilings. Where Python has torch and transformers, they do the same work right after; where it
// has numpy, random weights are stored and loaded, beside what disk and bus give.
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { projectRoot } from "../support/shared.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

type Line = Readonly<Record<string, string | number>>

/** SLUICE_BENCH_BIN: programs that were built elsewhere. */
const folder = process.env["SLUICE_BENCH_BIN"] ?? join(projectRoot, "native", "build", "gpu-bin")

/** Null where it is not built and cannot be. */
const programOf = (): string | null => {
  const program = join(folder, "engine_bench")
  if (existsSync(program)) return program
  const programs = [program, join(folder, "load_bench")]
  const target = ["-C", "test/gpu", "-j8", `OUT=${folder}`, ...programs]
  const made = spawnSync("make", target, { cwd: projectRoot, stdio: ["ignore", 2, 2] })
  return made.status === 0 ? program : null
}

const linesOf = (program: string, args: ReadonlyArray<string>): ReadonlyArray<Line> => {
  const run = spawnSync(program, args, { cwd: projectRoot, encoding: "utf8", maxBuffer: 2 ** 24 })
  process.stderr.write(run.stderr)
  const lines = run.stdout.split("\n").filter((line) => line !== "")
  const failed = lines.find((line) => !line.startsWith("{"))
  if (failed !== undefined || run.status !== 0) throw new Error(failed ?? "the program failed")
  return lines.map((line): Line => JSON.parse(line))
}

const number = (line: Line, key: string): number => Number(line[key])

const percent = (share: number): number => Math.round(share * 1000) / 10

interface Ceilings {
  readonly bytesPerSecond: number
  readonly flops: number
}

/** One work's figures under "8b bf16 single: ...". */
const figuresOf = (line: Line, ceilings: Ceilings): BenchResult => {
  const name = `${line["model"]} ${line["format"]} ${line["work"]}`
  const decode = number(line, "decode_per_second")
  const bound = ceilings.bytesPerSecond / number(line, "weight_bytes")
  const prefill = number(line, "prefill_flops") / ceilings.flops
  const shares: BenchResult =
    line["work"] === "single"
      ? { [`${name}: % of the bandwidth bound`]: percent(decode / bound) }
      : line["work"] === "prefill"
        ? { [`${name}: % of the product's rate`]: percent(prefill) }
        : {}
  return {
    [`${name}: out tokens/s`]: number(line, "out_per_second"),
    [`${name}: decode tokens/s`]: decode,
    [`${name}: prompt tokens/s`]: number(line, "prompt_per_second"),
    [`${name}: % of the time in steps`]: percent(number(line, "busy")),
    [`${name}: us of scheduling a step`]: number(line, "schedule_us"),
    [`${name}: us of launching a step`]: number(line, "launch_us"),
    ...shares,
  }
}

const python = process.env["SLUICE_PYTHON"] ?? "python3"

const hasModules = (...modules: ReadonlyArray<string>): boolean =>
  spawnSync(python, ["-c", `import ${modules.join(", ")}`]).status === 0

/** torch and transformers on the same work; their crowd is one batch, begun and ended as one. */
const peerFigures = (shape: string, ours: ReadonlyArray<Line>): BenchResult => {
  if (!hasModules("torch", "transformers")) return { "transformers: not run": "no torch here" }
  const figures: Record<string, number | string> = {}
  for (const line of linesOf(python, ["test/bench/gpu/transformers_speed.py", shape])) {
    const name = `transformers ${line["model"]} ${line["format"]} ${line["work"]}`
    const key = line["work"] === "prefill" ? "prompt_per_second" : "out_per_second"
    const { model, work } = line
    const isSame = (own: Line) => own["model"] === model && own["work"] === work
    const same = ours.find((own) => isSame(own) && own["format"] === "bf16")
    figures["transformers, torch"] = `${line["transformers"]}, ${line["torch"]}`
    figures[`${name}: ${key === "out_per_second" ? "out" : "prompt"} tokens/s`] = number(line, key)
    if (same !== undefined) {
      const ratio = number(same, key) / number(line, key)
      figures[`${name}: ours times theirs`] = Math.round(ratio * 100) / 100
    }
  }
  return figures
}

/** A checkpoint in the shape of 8b, or of 1b, from the disk to the device. */
const loadFigures = (shape: string): BenchResult => {
  const program = join(folder, "load_bench")
  if (!existsSync(program) || !hasModules("numpy")) return { "load: not run": "no numpy here" }
  const model = mkdtempSync(join(tmpdir(), "sluice-random-"))
  try {
    const tokenizer = join("models", "tales-11m")
    linesOf(python, ["test/bench/gpu/random_model.py", model, shape, tokenizer])
    const [line] = linesOf(program, [model])
    if (line === undefined) return {}
    const gigabytes = (key: string) => Math.round(number(line, key) / 1e8) / 10
    const lower = (key: string) => Math.min(number(line, key), number(line, "bus_per_second"))
    const share = (own: string, key: string) => percent(number(line, own) / lower(key))
    return {
      "load: bytes": number(line, "bytes"),
      "load: disk GB/s": gigabytes("disk_per_second"),
      "load: page cache GB/s": gigabytes("memory_per_second"),
      "load: bus GB/s": gigabytes("bus_per_second"),
      "load: from the disk, GB/s": gigabytes("cold_per_second"),
      "load: from the page cache, GB/s": gigabytes("cached_per_second"),
      "load: from the disk, % of the lower of disk and bus": share(
        "cold_per_second",
        "disk_per_second",
      ),
      "load: from the page cache, % of the lower of memory and bus": share(
        "cached_per_second",
        "memory_per_second",
      ),
    }
  } finally {
    rmSync(model, { recursive: true, force: true })
  }
}

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const program = programOf()
  if (program === null) return { "not run": "it needs a GPU and a CUDA compiler (CUDA_HOME)" }
  const [ceiling] = linesOf(program, ["1b", "bf16", "ceilings"])
  if (ceiling === undefined) throw new Error("the program says nothing of the device")
  const ceilings = {
    bytesPerSecond: number(ceiling, "read_bytes_per_second"),
    flops: number(ceiling, "gemm_flops"),
  }
  const works = small ? ["single"] : ["single", "crowd32", "crowd64", "crowd256", "prefill"]
  const shapes = small
    ? [["1b", "bf16"]]
    : [
        ["8b", "bf16"],
        ["8b", "awq"],
        ["1b", "bf16"],
      ]
  const lines = shapes.flatMap((shape) => linesOf(program, [...shape, ...works]))
  return Object.assign(
    {
      device: String(ceiling["device"]),
      "read GB/s": Math.round(ceilings.bytesPerSecond / 1e9),
      "bf16 TFLOP/s": Math.round(ceilings.flops / 1e12),
    },
    ...lines.map((line) => figuresOf(line, ceilings)),
    ...[...new Set(shapes.map(([model = ""]) => model))].map((model) => peerFigures(model, lines)),
    loadFigures(small ? "1b" : "8b"),
  )
}
