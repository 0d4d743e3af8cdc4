// A tokenizer model whose tokens are given as bytes or text, and a small seeded random source.
import type { TokenizerModel } from "../../src/tokenizer/Tokenizer.ts"

export interface ByteModelOptions {
  readonly specialIds?: ReadonlyArray<number>
  readonly stripsLeadingSpace?: boolean
}

export const byteModel = (
  tokens: ReadonlyArray<Uint8Array | string>,
  options: ByteModelOptions = {},
): TokenizerModel => {
  const bytes = tokens.map((token) => (typeof token === "string" ? Buffer.from(token) : token))
  return {
    vocabSize: tokens.length,
    bosId: null,
    eosIds: [],
    specialIds: new Set(options.specialIds ?? []),
    tokenBytes: (id) => bytes[id] ?? new Uint8Array(0),
    tokenText: (id) => Buffer.from(bytes[id] ?? []).toString(),
    stripsLeadingSpace: options.stripsLeadingSpace ?? false,
  }
}

/** Whole numbers from 0 to below `limit` (mulberry32). */
export const makeRandom = (seed: number) => {
  let state = seed >>> 0
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * limit)
  }
}
