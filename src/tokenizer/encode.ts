// Text to ids by @huggingface/tokenizers: plain synchronous code, the same on the main thread and
// on the encoding thread. Adds the special tokens that transformers would add for the folder's
// class.
import { Tokenizer } from "@huggingface/tokenizers"
import { hastenByteLevel } from "./hastenByteLevel.ts"

export type Encode = (text: string, addSpecialTokens: boolean) => Uint32Array

/** Special ids around a text that the folder's settings ask for instead of the post-processor. */
export interface Wrapping {
  readonly before: ReadonlyArray<number>
  readonly after: ReadonlyArray<number>
}

export interface EncodeFiles {
  readonly tokenizer: object
  readonly config: object
  /** null: the post-processor of tokenizer.json decides. */
  readonly wrapping: Wrapping | null
}

/** Throws where the library cannot make a tokenizer of the files. */
export const makeEncode = ({ tokenizer, config, wrapping }: EncodeFiles): Encode => {
  // The library reads these without asking whether they are there.
  const whole = { normalizer: null, pre_tokenizer: null, post_processor: null, ...tokenizer }
  const library = new Tokenizer(whole, config)
  hastenByteLevel(library.pre_tokenizer)
  return (text, addSpecialTokens) => {
    const byPostProcessor = addSpecialTokens && wrapping === null
    const { ids } = library.encode(text, { add_special_tokens: byPostProcessor })
    if (!addSpecialTokens || wrapping === null) return Uint32Array.from(ids)
    const all = new Uint32Array(wrapping.before.length + ids.length + wrapping.after.length)
    all.set(wrapping.before)
    all.set(ids, wrapping.before.length)
    all.set(wrapping.after, wrapping.before.length + ids.length)
    return all
  }
}
