// Reads a model folder's text files: tokenizer.json, tokenizer_config.json,
// special_tokens_map.json, generation_config.json, config.json and chat_template.jinja. Every one
// of them may be damaged or hostile: what cannot be used is refused with the file's name and what
// was found in it. Weights are the engine's.
import { readFile, stat } from "node:fs/promises"
import { basename, join } from "node:path"
import { Effect, Schema } from "effect"
import { TokenizerError } from "./Tokenizer.ts"

/** Far above any real tokenizer.json (Gemma's has 33 MB); a bound all the same. */
const fileBytesMax = 256 * 1024 * 1024
/** Far above any real vocabulary (Llama 4's has 202,048 ids). */
export const vocabSizeMax = 4 * 1024 * 1024

const Special = Schema.Union([Schema.String, Schema.Struct({ content: Schema.String })])
const specialKeys = {
  bos_token: Schema.optionalKey(Schema.NullOr(Special)),
  eos_token: Schema.optionalKey(Schema.NullOr(Special)),
  unk_token: Schema.optionalKey(Schema.NullOr(Special)),
  pad_token: Schema.optionalKey(Schema.NullOr(Special)),
}
const SpecialTokensMap = Schema.Struct(specialKeys)

const TokenizerConfig = Schema.Struct({
  ...specialKeys,
  tokenizer_class: Schema.optionalKey(Schema.NullOr(Schema.String)),
  add_bos_token: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  add_eos_token: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  additional_special_tokens: Schema.optionalKey(Schema.NullOr(Schema.Array(Special))),
  chat_template: Schema.optionalKey(
    Schema.NullOr(
      Schema.Union([
        Schema.String,
        Schema.Array(Schema.Struct({ name: Schema.String, template: Schema.String })),
      ]),
    ),
  ),
})

const Ids = Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.Int, Schema.Array(Schema.Int)])))
const Amount = Schema.optionalKey(Schema.NullOr(Schema.Finite))

const GenerationConfig = Schema.Struct({
  eos_token_id: Ids,
  temperature: Amount,
  top_p: Amount,
  top_k: Amount,
  min_p: Amount,
  repetition_penalty: Amount,
  max_new_tokens: Amount,
})

const ModelConfig = Schema.Struct({
  eos_token_id: Ids,
  max_position_embeddings: Amount,
})

/**
 * Only what is read of tokenizer.json here; vocabulary and merges are checked by hand, for speed.
 */
const TokenizerJson = Schema.Struct({
  added_tokens: Schema.Array(
    Schema.Struct({ id: Schema.Int, content: Schema.String, special: Schema.Boolean }),
  ),
  decoder: Schema.Unknown,
  post_processor: Schema.Unknown,
  model: Schema.Struct({ type: Schema.String, vocab: Schema.Unknown, merges: Schema.Unknown }),
})

export interface ModelFolder {
  readonly path: string
  readonly tokenizer: typeof TokenizerJson.Type
  /** tokenizer.json and tokenizer_config.json as they were read, for the library. */
  readonly raw: { readonly tokenizer: object; readonly config: object }
  readonly tokenizerConfig: typeof TokenizerConfig.Type
  readonly specialTokens: typeof SpecialTokensMap.Type
  readonly generationConfig: typeof GenerationConfig.Type
  readonly modelConfig: typeof ModelConfig.Type
  /** chat_template.jinja; null where there is none. */
  readonly templateFile: string | null
}

export const damaged = (file: string, found: string) =>
  new TokenizerError({ reason: "damaged", message: `${file}: ${found}` })

const sentence = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

const isAbsent = (cause: unknown) =>
  cause instanceof Error && "code" in cause && cause.code === "ENOENT"

/** null where the file does not exist. */
const readText = Effect.fnUntraced(function* (folder: string, name: string) {
  const path = join(folder, name)
  const info = yield* Effect.tryPromise({ try: () => stat(path), catch: (cause) => cause }).pipe(
    Effect.catch((cause) =>
      isAbsent(cause) ? Effect.succeed(null) : Effect.fail(damaged(name, sentence(cause))),
    ),
  )
  if (info === null) return null
  if (!info.isFile()) return yield* damaged(name, "is not a file")
  if (info.size > fileBytesMax) {
    return yield* damaged(name, `has ${info.size} bytes; at most ${fileBytesMax} are read`)
  }
  const bytes = yield* Effect.tryPromise({
    try: () => readFile(path),
    catch: (cause) => damaged(name, sentence(cause)),
  })
  return yield* Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => damaged(name, "is not UTF-8"),
  })
})

/** An empty object where the file does not exist. */
const readObject = Effect.fnUntraced(function* (folder: string, name: string) {
  const text = yield* readText(folder, name)
  if (text === null) return {}
  const value = yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) => damaged(name, `is not JSON (${sentence(cause).slice(0, 200)})`),
  })
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value
  return yield* damaged(name, "does not hold an object")
})

const decode = <S extends Schema.ConstraintDecoder<unknown>>(
  name: string,
  schema: S,
  value: object,
) =>
  Schema.decodeUnknownEffect(schema)(value).pipe(
    Effect.mapError((error) => damaged(name, error.message.replaceAll(/\s+/g, " "))),
  )

export const readModelFolder = Effect.fn("Tokenizer.readModelFolder")(function* (path: string) {
  const tokenizer = yield* readObject(path, "tokenizer.json")
  if (Object.keys(tokenizer).length === 0) {
    return yield* damaged(
      "tokenizer.json",
      `there is none in ${basename(path)}; Sluice reads Hugging Face's tokenizer.json only, not ` +
        "tokenizer.model or vocab.json",
    )
  }
  const config = yield* readObject(path, "tokenizer_config.json")
  const specialTokens = yield* readObject(path, "special_tokens_map.json")
  const generation = yield* readObject(path, "generation_config.json")
  const model = yield* readObject(path, "config.json")
  const folder: ModelFolder = {
    path,
    tokenizer: yield* decode("tokenizer.json", TokenizerJson, tokenizer),
    raw: { tokenizer, config },
    tokenizerConfig: yield* decode("tokenizer_config.json", TokenizerConfig, config),
    specialTokens: yield* decode("special_tokens_map.json", SpecialTokensMap, specialTokens),
    generationConfig: yield* decode("generation_config.json", GenerationConfig, generation),
    modelConfig: yield* decode("config.json", ModelConfig, model),
    templateFile: yield* readText(path, "chat_template.jinja"),
  }
  return folder
})

type SpecialName = keyof typeof specialKeys

/** A special token's text; tokenizer_config.json goes before special_tokens_map.json. */
export const specialText = (folder: ModelFolder, name: SpecialName): string | null => {
  const found = folder.tokenizerConfig[name] ?? folder.specialTokens[name] ?? null
  return found === null || typeof found === "string" ? found : found.content
}

export const idList = (ids: number | ReadonlyArray<number> | null | undefined) =>
  ids === null || ids === undefined ? [] : typeof ids === "number" ? [ids] : ids
