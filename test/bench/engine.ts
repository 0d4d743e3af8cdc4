// The engine alone on a GPU: decode, crowds and prefill of common shapes with random weights,
// beside what the device reads and multiplies in the same run. The work is test/bench/gpu's
// program, since nothing of the engine is in JavaScript; here its figures become shares of those
// ceilings.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
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
  const target = ["-C", "test/gpu", "-j8", `OUT=${folder}`, program]
  const made = spawnSync("make", target, { cwd: projectRoot, stdio: ["ignore", 2, 2] })
  return made.status === 0 ? program : null
}

const linesOf = (program: string, args: ReadonlyArray<string>): ReadonlyArray<Line> => {
  const run = spawnSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 24 })
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
  )
}
