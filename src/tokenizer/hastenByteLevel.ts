// Makes the library's byte-level pre-tokenizer remember how words are spelled in its byte alphabet:
// spelling them byte by byte is two thirds of what encoding a prompt costs. The tokens are the
// same.
import { byteLevelText } from "./byteLevel.ts"

/** Words are short: longer pieces are rarely met twice. */
const wordUnitsMax = 32
/** Then all are forgotten: the common ones come back at once. */
const wordsMax = 16_384

const words = new Map<string, string>()

const spell = (piece: string): string => {
  const known = words.get(piece)
  if (known !== undefined) return known
  const spelled = byteLevelText(piece)
  if (piece.length <= wordUnitsMax) {
    if (words.size >= wordsMax) words.clear()
    words.set(piece, spelled)
  }
  return spelled
}

interface ByteLevel {
  readonly pattern: RegExp
  readonly use_regex: boolean
  readonly add_prefix_space: boolean
  pre_tokenize_text: (text: string) => Array<string>
}

const isByteLevel = (part: object): part is ByteLevel =>
  "byte_encoder" in part && "pattern" in part && part.pattern instanceof RegExp

/** For the pre-tokenizer of a Tokenizer, or the parts of one; the library's parts are callable. */
export const hastenByteLevel = (part: unknown): void => {
  if ((typeof part !== "object" && typeof part !== "function") || part === null) return
  if ("tokenizers" in part && Array.isArray(part.tokenizers)) {
    part.tokenizers.forEach(hastenByteLevel)
  }
  if (!isByteLevel(part)) return
  const { pattern, use_regex: isSplit, add_prefix_space: isPrefixed } = part
  part.pre_tokenize_text = (text) => {
    const whole = isPrefixed && !text.startsWith(" ") ? ` ${text}` : text
    return isSplit ? (whole.match(pattern) ?? []).map(spell) : [spell(whole)]
  }
}
