// What `sluice quantize` was asked to do, or the sentence that says what it can do.
import { basename, dirname, join, resolve } from "node:path"
import type { Parsed } from "./args.ts"
import type { QuantizeMethod } from "./quantizedConfig.ts"

export interface QuantizeWish {
  readonly folder: string
  readonly out: string
  readonly method: QuantizeMethod
  readonly group: number
  /** A text file; null: the model writes its own text. */
  readonly calibration: string | null
}

const groups = [128, 64, 32]

const methodOf = ({ switches, options }: Parsed): QuantizeMethod | string => {
  const asked = (["awq", "round", "int8"] as const).filter((name) => switches.has(name))
  if (asked.length > 1) return `--${asked.join(" and --")} exclude each other.`
  const method = asked[0] ?? "awq"
  const bits = options.get("bits") ?? (method === "int8" ? "8" : "4")
  if (bits === (method === "int8" ? "8" : "4")) return method
  return `--bits ${bits} cannot be: --awq and --round make 4 bits, --int8 makes 8.`
}

/** A sentence where it cannot be done. */
export const quantizeWish = (parsed: Parsed): QuantizeWish | string => {
  const { operands, options } = parsed
  const folder = operands[0]
  if (folder === undefined) return "name the folder of a model: sluice quantize <model folder>"
  const method = methodOf(parsed)
  if (method !== "awq" && method !== "round" && method !== "int8") return method
  const group = Number(options.get("group") ?? 128)
  if (!groups.includes(group)) {
    return `--group ${options.get("group")} cannot be: it is one of ${groups.join(", ")}.`
  }
  if (method === "int8" && options.has("group")) {
    return "--int8 has one scale an output and takes no --group."
  }
  const from = resolve(folder)
  const kind = method === "int8" ? "int8" : `${method === "awq" ? "awq" : "int4"}-g${group}`
  const out = resolve(options.get("out") ?? join(dirname(from), `${basename(from)}-${kind}`))
  const calibration = options.get("calibration") ?? null
  return { folder: from, out, method, group, calibration }
}
