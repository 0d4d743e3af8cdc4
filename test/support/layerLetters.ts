// A Tokenizer of the letters: a text's bytes are its ids. For tests that run a worker and no model.
import { Effect, Layer } from "effect"
import { Tokenizer } from "../../src/tokenizer/Tokenizer.ts"
import { letters } from "./generate.ts"

/** A model whose folder says nothing of sampling. */
export const noGenerationDefaults = {
  temperature: null,
  topP: null,
  topK: null,
  minP: null,
  repetitionPenalty: null,
  maxTokens: null,
} as const

export const layerLetters = Layer.succeed(Tokenizer, {
  model: letters,
  encode: (text: string) => Effect.succeed([...Buffer.from(text)]),
  decode: (ids: ReadonlyArray<number>) => Buffer.from(ids).toString(),
  renderChat: () => Effect.succeed(""),
  hasChatTemplate: false,
  toolFormat: "hermes",
  generationDefaults: noGenerationDefaults,
})
