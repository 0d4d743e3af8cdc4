// The Tokenizer of the model folder that Config names.
import { Effect, Layer } from "effect"
import { Config } from "../config/Config.ts"
import { makeRenderChat, toolFormat } from "./chatTemplate.ts"
import { makeEncoder } from "./encoder.ts"
import { type ModelFolder, readModelFolder } from "./modelFolder.ts"
import { makeTextStream } from "./TextStream.ts"
import { makeTokenTable } from "./tokenTable.ts"
import {
  type GenerationDefaults,
  Tokenizer,
  TokenizerError,
  type TokenizerModel,
} from "./Tokenizer.ts"

const generationDefaultsOf = ({ generationConfig }: ModelFolder): GenerationDefaults => ({
  temperature: generationConfig.temperature ?? null,
  topP: generationConfig.top_p ?? null,
  topK: generationConfig.top_k ?? null,
  minP: generationConfig.min_p ?? null,
  repetitionPenalty: generationConfig.repetition_penalty ?? null,
  maxTokens: generationConfig.max_new_tokens ?? null,
})

/** There is one decoder: a whole text is a stream that is pushed at once. */
const decodeWhole = (
  model: TokenizerModel,
  ids: ReadonlyArray<number>,
  skipSpecialTokens: boolean,
): string => {
  const options = { stop: [], includeStop: false, minTokens: 0, skipSpecialTokens }
  const stream = makeTextStream(model, options)
  return ids.map((id, i) => stream.push(id, i === ids.length - 1).text).join("")
}

const noTemplate = Effect.fail(
  new TokenizerError({
    reason: "noChatTemplate",
    message: "this model has no chat template; use /v1/completions",
  }),
)

/** The Tokenizer of one model folder; its encoding thread ends with the scope. */
export const makeTokenizer = Effect.fn("Tokenizer.make")(function* (path: string) {
  const folder = yield* readModelFolder(path)
  const model = yield* makeTokenTable(folder)
  const encode = yield* makeEncoder(folder, model)
  const renderChat = makeRenderChat(folder)
  return Tokenizer.of({
    model,
    encode,
    decode: (ids, skipSpecialTokens) => decodeWhole(model, ids, skipSpecialTokens),
    renderChat: renderChat ?? (() => noTemplate),
    hasChatTemplate: renderChat !== null,
    toolFormat: toolFormat(folder),
    generationDefaults: generationDefaultsOf(folder),
  })
})

export const layerTokenizer = Layer.effect(
  Tokenizer,
  Effect.gen(function* () {
    const config = yield* Config
    return yield* makeTokenizer(config.model)
  }),
)
