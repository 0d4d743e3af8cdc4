// The model's grammars by the addon. Special tokens get a first byte that no text has, so that a
// string of a structure can never spell one.
import { Effect, Layer } from "effect"
import {
  GrammarError,
  Grammars,
  type GrammarsShape,
  type GrammarTokens,
  notBuilt,
} from "../../tokenizer/Grammars.ts"
import { Tokenizer, type TokenizerModel } from "../../tokenizer/Tokenizer.ts"
import { loadNative } from "./loadNative.ts"
import type { Native, NativeGrammars } from "./native.ts"

const specialMark = 0xff

export const grammarTokens = (model: TokenizerModel): GrammarTokens => {
  const { vocabSize, specialIds, tokenBytes } = model
  const lengths = new Uint32Array(vocabSize)
  const pieces: Array<Uint8Array> = []
  const mark = Uint8Array.of(specialMark)
  for (let id = 0; id < vocabSize; id++) {
    const bytes = tokenBytes(id)
    const isSpecial = specialIds.has(id) || model.eosIds.includes(id)
    if (isSpecial) pieces.push(mark)
    pieces.push(bytes)
    lengths[id] = bytes.length + (isSpecial ? 1 : 0)
  }
  return {
    bytes: new Uint8Array(Buffer.concat(pieces)),
    lengths,
    eosIds: Uint32Array.from(model.eosIds),
  }
}

/** Without a library the addon rejects; every other error is a defect of ours. */
const failureOf = (error: unknown): Effect.Effect<never, GrammarError> =>
  error instanceof Error && error.name === "EngineUnsupported"
    ? Effect.fail(notBuilt())
    : Effect.die(error)

const ask = (native: Native, grammars: NativeGrammars, kind: string, text: string) =>
  Effect.tryPromise({
    try: () => native.grammarCheck(grammars, kind, text),
    catch: (error) => error,
  }).pipe(Effect.catch(failureOf))

const makeGrammars = (native: Native, tokens: GrammarTokens): GrammarsShape => {
  const grammars = native.grammarsOpen(tokens)
  return {
    check: Effect.fn("Grammars.check")(function* ({ kind, text }) {
      const fault = yield* ask(native, grammars, kind, text)
      if (fault !== null) yield* new GrammarError({ reason: "invalid", message: fault })
    }),
  }
}

/** The addon must be built. */
export const openGrammars = (tokens: GrammarTokens): GrammarsShape =>
  makeGrammars(loadNative(), tokens)

/** Where the addon is not built, structured output is not built either. */
export const layerGrammars: Layer.Layer<never, never, Tokenizer> = Layer.effect(
  Grammars,
  Effect.gen(function* () {
    const { model } = yield* Tokenizer
    return yield* Effect.try(() => openGrammars(grammarTokens(model))).pipe(
      Effect.orElseSucceed(() => ({ check: () => Effect.fail(notBuilt()) })),
    )
  }),
)
