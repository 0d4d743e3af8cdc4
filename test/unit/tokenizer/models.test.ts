// Every tokenizer at hand: ids and text go round, a token at a time equals the whole, and the whole
// equals the library's own decode. Whole texts of all assigned characters, on the encoding thread.
import { readFileSync } from "node:fs"
import { Tokenizer as Library } from "@huggingface/tokenizers"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeTokenizer } from "../../../src/tokenizer/layer.ts"
import { makeTextStream } from "../../../src/tokenizer/TextStream.ts"
import { hasShared, projectRoot, sharedPath } from "../../support/shared.ts"
import { makeRandom } from "../../support/tokenizer.ts"

interface Expected {
  readonly folder: string
  readonly vocabSize: number
  readonly bosId: number | null
  readonly eosIds: ReadonlyArray<number>
  /** Ids of "Once upon a time" with special tokens, by transformers. */
  readonly ids: ReadonlyArray<number>
  /** False where the vocabulary lacks characters and has no bytes to fall back on. */
  readonly covers: boolean
}

const bundled = `${projectRoot}models/tales-11m`
const models: ReadonlyArray<Expected> = [
  { folder: bundled, vocabSize: 4096, bosId: 0, eosIds: [1, 4], ids: [], covers: true },
  ...(
    [
      ["models/stories260K-hf", 512, 1, [2], [1, 403, 407, 261, 378], true],
      ["models/infinitensor-story", 2048, 1, [2], [1, 80, 147, 201, 282, 57], false],
      ["models/tokenizers/minimind-6400", 6400, 1, [2], [], true],
      ["models/tokenizers/gpt2", 50257, 50256, [50256], [7454, 2402, 257, 640], true],
    ] as const
  ).map(([path, vocabSize, bosId, eosIds, ids, covers]) => ({
    folder: sharedPath(path),
    vocabSize,
    bosId,
    eosIds,
    ids,
    covers,
  })),
]

const hard = [
  "Once upon a time",
  "",
  " ",
  "  two  spaces\n\n\ttab ",
  "👨‍👩‍👧 family, 🏳️‍🌈 flag, é combining, 漢字, עברית, \u0000 nul, \ufeff mark",
  "<|im_end|> <s> </s> <0x41> ▁ Ġ",
]

const reads = (folder: string, name: string): object =>
  JSON.parse(readFileSync(`${folder}/${name}`, "utf8"))

const everyCharacter = () =>
  readFileSync(
    sharedPath("hostile/utf8", "utf8_sequence_0-0x2ffff_assigned_asis_unseparated.txt"),
    "utf8",
  )

/** Pieces that every model's context lets through; no surrogate pair is cut. */
const pieces = (text: string): ReadonlyArray<string> => {
  const characters = Array.from(text)
  const count = Math.ceil(characters.length / 6_000)
  return Array.from({ length: count }, (_, i) =>
    characters.slice(i * 6_000, (i + 1) * 6_000).join(""),
  )
}

/**
 * The library drops byte-order marks that come from byte-fallback tokens; transformers keeps them.
 */
const bare = (text: string) => text.replaceAll("\ufeff", "")

const check = Effect.fnUntraced(function* (model: Expected) {
  const tokenizer = yield* makeTokenizer(model.folder)
  const library = new Library(
    reads(model.folder, "tokenizer.json"),
    reads(model.folder, "tokenizer_config.json"),
  )
  const { vocabSize, bosId, eosIds } = tokenizer.model
  expect({ vocabSize, bosId, eosIds }).toEqual({
    vocabSize: model.vocabSize,
    bosId: model.bosId,
    eosIds: model.eosIds,
  })
  if (model.ids.length > 0) {
    const ids = yield* tokenizer.encode("Once upon a time", true)
    expect(ids.slice(0, model.ids.length)).toEqual(model.ids)
  }

  const streamed = (ids: ReadonlyArray<number>, skipSpecialTokens: boolean) => {
    const options = { stop: [], includeStop: false, minTokens: 0, skipSpecialTokens }
    const stream = makeTextStream(tokenizer.model, options)
    return ids.map((id, i) => stream.push(id, i === ids.length - 1).text).join("")
  }
  const libraryDecode = (ids: ReadonlyArray<number>, skipSpecialTokens: boolean) =>
    ids.length === 0
      ? ""
      : library.decode([...ids], {
          skip_special_tokens: skipSpecialTokens,
          clean_up_tokenization_spaces: false,
        })

  const texts = hasShared("hostile/utf8") ? [...hard, ...pieces(everyCharacter())] : hard
  for (const text of texts) {
    const ids = yield* tokenizer.encode(text, false)
    for (const skip of hard.includes(text) ? [true, false] : [true]) {
      const whole = tokenizer.decode(ids, skip)
      expect(streamed(ids, skip) === whole, text.slice(0, 80)).toBe(true)
      expect(bare(whole) === bare(libraryDecode(ids, skip)), text.slice(0, 80)).toBe(true)
    }
  }
  if (model.covers) {
    const text = hard[4] ?? ""
    expect(tokenizer.decode(yield* tokenizer.encode(text, true), true)).toBe(text)
  }

  const random = makeRandom(5)
  for (let round = 0; round < 200; round++) {
    const ids = Array.from({ length: random(40) + 1 }, () => random(vocabSize + 2))
    const bytes = Buffer.concat(ids.map((id) => tokenizer.model.tokenBytes(id)))
    const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
    const strips = tokenizer.model.stripsLeadingSpace && whole.startsWith(" ")
    expect(streamed(ids, false)).toBe(strips ? whole.slice(1) : whole)
  }
}, Effect.scoped)

describe("tokenizers of real models", () => {
  for (const model of models) {
    const here = model.folder === bundled || hasShared("models")
    const name = model.folder.split("/").slice(-2).join("/")
    it.live.skipIf(!here)(
      `${name}${here ? "" : " (shared data is absent)"}`,
      () => check(model),
      120_000,
    )
  }

  it.live("shows a token that is no text by its bytes", () =>
    Effect.gen(function* () {
      const { model, encode } = yield* makeTokenizer(bundled)
      const [first] = yield* encode("👨", false)
      expect(model.tokenText(first ?? -1)).toMatch(/^bytes:(\\x[0-9a-f]{2})+$/)
      expect(model.tokenText(model.eosIds[0] ?? -1)).toBe("<|eos|>")
      expect(model.tokenText(99_999)).toBe("")
    }).pipe(Effect.scoped),
  )

  it.live("reads the generation defaults and says when there is no chat template", () =>
    Effect.gen(function* () {
      const tokenizer = yield* makeTokenizer(bundled)
      expect(tokenizer.hasChatTemplate).toBe(true)
      expect(tokenizer.generationDefaults).toEqual({
        temperature: 0.7,
        topP: 0.95,
        topK: null,
        minP: null,
        repetitionPenalty: null,
        maxTokens: 400,
      })
    }).pipe(Effect.scoped),
  )
})
