// Decode speed of the CPU backend, engine alone: 1 and 8 sequences, the bundled model and, where
// its folder is there, SmolLM2-135M (.cache/smollm2).
import { existsSync } from "node:fs"
import { join } from "node:path"
import { projectRoot } from "../support/shared.ts"
import { promptOf, withEngine } from "./bareEngine.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const promptTokens = 32

const models = [
  ["tales-11m", join(projectRoot, "models", "tales-11m")],
  ["smollm2-135m", join(projectRoot, ".cache", "smollm2")],
] as const

const decodeRates = (folder: string, maxTokens: number) =>
  withEngine(folder, async (engine) => {
    const rates: Record<string, number> = {}
    for (const sequences of [1, 8]) {
      const runs = Array.from({ length: sequences }, (_, index) => ({
        promptIds: promptOf(index, promptTokens),
        maxTokens,
      }))
      await engine.run(runs.slice(0, 1))
      const times = await engine.run(runs)
      const from = Math.max(...times.map(({ firstMs }) => firstMs))
      const until = Math.max(...times.map(({ lastMs }) => lastMs))
      const tokens = sequences * (maxTokens - 1)
      rates[`${sequences}`] = Math.round((tokens / (until - from)) * 10_000) / 10
    }
    return { rates, device: engine.device }
  })

export const run = async ({ small }: BenchOptions): Promise<BenchResult> => {
  const result: Record<string, number | string> = {}
  for (const [name, folder] of models) {
    if (!existsSync(join(folder, "config.json"))) continue
    const { rates, device } = await decodeRates(folder, small ? 16 : 256)
    result[`${name}.device`] = device
    for (const [sequences, rate] of Object.entries(rates)) {
      result[`${name}.decodeTokensPerSecond.${sequences}`] = rate
    }
  }
  return result
}
