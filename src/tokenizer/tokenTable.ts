// The table id -> bytes of a model folder, and which ids are special or end a sequence: everything
// that turning ids into text needs. Decoding itself is TextStream's, once, for whole texts too.
import { Effect } from "effect"
import { byteLevelBytes } from "./byteLevel.ts"
import { type DecoderKind, decoderKind } from "./decoderKind.ts"
import { damaged, idList, type ModelFolder, specialText, vocabSizeMax } from "./modelFolder.ts"
import { TokenizerError, type TokenizerModel } from "./Tokenizer.ts"
import { decodeUtf8 } from "./utf8.ts"

const noBytes = new Uint8Array(0)
const encoder = new TextEncoder()
const byteToken = /^<0x([0-9A-Fa-f]{2})>$/

const isId = (id: unknown): id is number =>
  typeof id === "number" && Number.isInteger(id) && id >= 0 && id < vocabSizeMax

interface Vocabulary {
  readonly tokens: ReadonlyArray<string | undefined>
  readonly idOf: (token: string) => number | null
}

const readVocabulary = Effect.fnUntraced(function* ({ tokenizer }: ModelFolder) {
  const { type, vocab, merges } = tokenizer.model
  if (type !== "BPE") {
    return yield* new TokenizerError({
      reason: "unsupported",
      message:
        `tokenizer.json: the model is ${type}; supported is BPE (byte-level or with byte ` +
        "fallback)",
    })
  }
  if (typeof vocab !== "object" || vocab === null || Array.isArray(vocab)) {
    return yield* damaged("tokenizer.json", "model.vocab is no object of tokens and ids")
  }
  if (!Array.isArray(merges) || !merges.every(isMerge)) {
    return yield* damaged("tokenizer.json", "model.merges is no list of pairs of tokens")
  }
  const tokens: Array<string | undefined> = []
  const ids = new Map<string, unknown>(Object.entries(vocab))
  for (const [token, id] of ids) {
    if (!isId(id)) return yield* badId(token, id)
    tokens[id] = token
  }
  for (const { content, id } of tokenizer.added_tokens) {
    if (!isId(id)) return yield* badId(content, id)
    tokens[id] = content
    ids.set(content, id)
  }
  if (ids.size === 0) return yield* damaged("tokenizer.json", "the vocabulary is empty")
  const idOf = (token: string) => {
    const id = ids.get(token)
    return isId(id) ? id : null
  }
  return { tokens, idOf } satisfies Vocabulary
})

const isMerge = (merge: unknown): boolean =>
  typeof merge === "string"
    ? merge.includes(" ")
    : Array.isArray(merge) && merge.length === 2 && merge.every((half) => typeof half === "string")

const badId = (token: string, id: unknown) =>
  damaged(
    "tokenizer.json",
    `token ${JSON.stringify(token.slice(0, 64))} has the id ${String(id).slice(0, 32)}; ids are ` +
      `whole numbers below ${vocabSizeMax}`,
  )

const bytesOf = (token: string, isAdded: boolean, decoder: DecoderKind): Uint8Array => {
  if (decoder.kind === "byteLevel") {
    return (isAdded ? null : byteLevelBytes(token)) ?? encoder.encode(token)
  }
  const text = decoder.replace.reduce((all, { from, to }) => all.replaceAll(from, to), token)
  const byte = decoder.byteFallback ? byteToken.exec(text)?.[1] : undefined
  return byte === undefined ? encoder.encode(text) : Uint8Array.of(parseInt(byte, 16))
}

const lookUp = (folder: ModelFolder, { idOf }: Vocabulary, name: "bos_token" | "eos_token") => {
  const text = specialText(folder, name)
  return text === null ? null : idOf(text)
}

/**
 * generation_config.json says it best, config.json stands in for it; the tokenizer's own is added.
 */
const eosIdsOf = (folder: ModelFolder, vocabulary: Vocabulary): ReadonlyArray<number> => {
  const listed = folder.generationConfig.eos_token_id ?? folder.modelConfig.eos_token_id
  const own = lookUp(folder, vocabulary, "eos_token")
  return [...new Set([...idList(listed), ...(own === null ? [] : [own])])].filter(isId)
}

const specialIdsOf = (folder: ModelFolder, vocabulary: Vocabulary): ReadonlySet<number> => {
  const special = new Set<number>()
  for (const added of folder.tokenizer.added_tokens) if (added.special) special.add(added.id)
  for (const extra of folder.tokenizerConfig.additional_special_tokens ?? []) {
    const id = vocabulary.idOf(typeof extra === "string" ? extra : extra.content)
    if (id !== null) special.add(id)
  }
  return special
}

/** OpenAI's way to show a token that is no text by itself: "bytes:\xe2\x80". */
const shownText = (bytes: Uint8Array): string => {
  const text = decodeUtf8(bytes)
  if (Buffer.compare(Buffer.from(text), bytes) === 0) return text
  return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`
}

export const makeTokenTable = Effect.fn("Tokenizer.makeTokenTable")(function* (
  folder: ModelFolder,
): Effect.fn.Return<TokenizerModel, TokenizerError> {
  const decoder = yield* decoderKind(folder.tokenizer.decoder)
  const vocabulary = yield* readVocabulary(folder)
  const { tokens } = vocabulary
  const added = new Set(folder.tokenizer.added_tokens.map((token) => token.id))
  const known: Array<Uint8Array | undefined> = []

  const tokenBytes = (id: number): Uint8Array => {
    const bytes = known[id]
    if (bytes !== undefined) return bytes
    const token = tokens[id]
    if (token === undefined) return noBytes
    return (known[id] = bytesOf(token, added.has(id), decoder))
  }

  return {
    vocabSize: tokens.length,
    bosId: lookUp(folder, vocabulary, "bos_token"),
    eosIds: eosIdsOf(folder, vocabulary),
    specialIds: specialIdsOf(folder, vocabulary),
    tokenBytes,
    tokenText: (id) => shownText(tokenBytes(id)),
    stripsLeadingSpace: decoder.kind === "pieces" && decoder.stripsLeadingSpace,
  }
})
