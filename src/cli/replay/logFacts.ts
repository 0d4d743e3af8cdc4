// What is known of a log as a target, from the configuration: its model and which token ids there
// are. Nobody is asked; a log that is not there is said to be missing.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit } from "effect"
import type { ConfigShape } from "../../config/Config.ts"
import type { ReplayOptions } from "../../replay/ReplayOptions.ts"
import { makeTokenizer } from "../../tokenizer/layer.ts"
import { failureMessage } from "../failure.ts"
import type { TargetFacts } from "./preflight.ts"

interface Known {
  readonly facts: TargetFacts
  readonly options: ReplayOptions
}

/** A sentence where it cannot be a target. */
export const logFacts = async (
  config: ConfigShape,
  options: ReplayOptions,
): Promise<Known | string> => {
  if (options.target === "kafka" && config.kafka.length === 0) {
    return "--target kafka needs brokers: --kafka host:9092 --registry http://..."
  }
  if (config.kafka.length === 0 && !existsSync(join(config.data, "log"))) {
    return `there is no log in ${config.data}; name its folder with --data.`
  }
  const facts: TargetFacts = {
    model: config.servedModelName,
    contextTokensMax: options.contextTokensMax,
    tokensPerWord: 1,
    notes: [],
  }
  if (options.ids !== null) return { facts, options }
  const tokenizer = await Effect.runPromiseExit(Effect.scoped(makeTokenizer(config.model)))
  if (Exit.isFailure(tokenizer)) return failureMessage(tokenizer.cause, config)
  const { vocabSize } = tokenizer.value.model
  // The lowest ids are special ones in every usual vocabulary.
  return { facts, options: { ...options, ids: [Math.floor(vocabSize / 4), vocabSize] } }
}
