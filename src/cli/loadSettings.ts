// Settings for a command, or the sentences that say what is wrong with them.
import { Effect, Result } from "effect"
import { type ConfigInputs, loadConfig, type Loaded } from "../config/load.ts"

export const load = async (inputs: ConfigInputs): Promise<Loaded | string> => {
  const loaded = await Effect.runPromise(Effect.result(loadConfig(inputs)))
  if (Result.isSuccess(loaded)) return loaded.success
  const lines = loaded.failure.problems.map((problem) => `sluice: ${problem}`)
  return [
    ...lines,
    "`sluice config` shows what is in force; `sluice serve --help` what there is.",
  ].join("\n")
}
