// One token a character (its code, up to 255), which makes lengths in tests plain to see. The chat
// template writes "<role>content" for each message.
import { Effect } from "effect"
import { Tokenizer, TokenizerError } from "../../../src/tokenizer/Tokenizer.ts"
import { byteModel } from "../tokenizer.ts"

export const vocabSize = 256

const model = byteModel(Array.from({ length: vocabSize }, (_, id) => Uint8Array.of(id)))

export const charTokenizer = Tokenizer.of({
  model,
  encode: (text, addSpecialTokens) =>
    Effect.succeed([...(addSpecialTokens ? [1] : []), ...Buffer.from(text)]),
  decode: (ids) => Buffer.from(ids).toString(),
  renderChat: (messages, options) =>
    messages.some((message) => message.role === "alien")
      ? Effect.fail(new TokenizerError({ reason: "templateFailed", message: "Unknown role." }))
      : Effect.succeed(
          messages.map((message) => `<${message.role}>${message.content}`).join("") +
            (options.addGenerationPrompt ? "<assistant>" : ""),
        ),
  hasChatTemplate: true,
  toolFormat: "hermes",
  generationDefaults: {
    temperature: 0.7,
    topP: 0.95,
    topK: null,
    minP: null,
    repetitionPenalty: null,
    maxTokens: null,
  },
})
