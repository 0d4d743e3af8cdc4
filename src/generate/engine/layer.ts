// Which engine a process runs: the configuration's word. The scripted one takes the model's
// vocabulary, so that what it says is text of that model's tokenizer.
import { Effect, Layer } from "effect"
import { Config } from "../../config/Config.ts"
import { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import type { Engine } from "./Engine.ts"
import type { EngineError } from "./EngineError.ts"
import { layerNative } from "./NativeEngine.ts"
import { layerScripted, scriptedDefaults } from "./ScriptedEngine.ts"

/** A timer's grain: faster streams get several tokens a step. */
const stepIntervalMsLeast = 5

const layerScriptedConfigured = Layer.unwrap(
  Effect.gen(function* () {
    const config = yield* Config
    const { model } = yield* Tokenizer
    const { tokensPerSecond } = config.scripted
    const { sequencesMax, contextTokensMax } = config.worker
    const tokensPerStep =
      tokensPerSecond === 0 ? 1 : Math.ceil((tokensPerSecond * stepIntervalMsLeast) / 1000)
    return layerScripted({
      model: config.servedModelName,
      vocabSize: model.vocabSize,
      firstId: Math.min(scriptedDefaults.firstId, model.vocabSize - 1),
      eosIds: model.eosIds,
      sequencesMax,
      contextTokensMax: contextTokensMax || scriptedDefaults.contextTokensMax,
      tokensPerStep,
      stepIntervalMs: tokensPerSecond === 0 ? 0 : (tokensPerStep * 1000) / tokensPerSecond,
    })
  }),
)

export const layerEngine: Layer.Layer<Engine, EngineError, Config | Tokenizer> = Layer.unwrap(
  Effect.map(Config, ({ engine }) =>
    engine === "scripted" ? layerScriptedConfigured : layerNative,
  ),
)
