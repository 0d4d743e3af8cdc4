// Prompts for requests of which only lengths and block hashes are known. Equal hashes give equal
// blocks, so that prompts share real prefixes exactly where the recorded ones did; what no hash
// covers is unlike any other prompt's. Words are short and common: most vocabularies have each as
// one token.
import { hashText } from "../../../streams/topics.ts"
import type { PrefixBlocks } from "../trace/Trace.ts"
import { seeded } from "./random.ts"

const words = (
  "the of and to in is you that it he was for on are as with his they at be this have from or " +
  "one had by word but not what all were we when your can said there use an each which she do " +
  "how their if will up other about out many then them these so some her would make like him " +
  "into time has look two more write go see number no way could people my than first water been " +
  "call who oil its now find long down day did get come made may part"
).split(" ")

export interface Material {
  /** Null: words; else token ids from this first one up to the second. */
  readonly ids: readonly [from: number, to: number] | null
  /** How many tokens the target makes of a word; 1 where prompts are ids. */
  readonly tokensPerWord: number
  readonly seed: number
}

export interface Wanted {
  readonly promptTokens: number
  readonly blocks: PrefixBlocks | null
  readonly scale: number
  /** Of this request: what no block covers is drawn by it. */
  readonly index: number
}

/** The parts of a prompt: which seed makes how many tokens. */
const partsOf = ({ seed }: Material, wanted: Wanted) => {
  const parts: Array<readonly [seed: number, tokens: number]> = []
  let left = wanted.promptTokens
  const blockTokens = Math.max(1, Math.round((wanted.blocks?.tokens ?? 0) * wanted.scale))
  for (const hash of wanted.blocks?.hashes ?? []) {
    const tokens = Math.min(left, blockTokens)
    if (tokens === 0) break
    parts.push([hashText(`${seed} block ${hash}`), tokens])
    left -= tokens
  }
  if (left > 0) parts.push([hashText(`${seed} request ${wanted.index}`), left])
  return parts
}

export const promptIds = (
  material: Material,
  range: readonly [number, number],
  wanted: Wanted,
): ReadonlyArray<number> => {
  const [from, to] = range
  return partsOf(material, wanted).flatMap(([seed, tokens]) => {
    const random = seeded(seed)
    return Array.from({ length: tokens }, () => from + Math.floor(random() * (to - from)))
  })
}

/** Each part is rounded by itself: a block has the same words in every prompt. */
export const promptWords = (material: Material, wanted: Wanted): string => {
  const texts: Array<string> = []
  for (const [seed, tokens] of partsOf(material, wanted)) {
    const random = seeded(seed)
    const count = Math.max(1, Math.round(tokens / material.tokensPerWord))
    for (let i = 0; i < count; i++) texts.push(words[Math.floor(random() * words.length)] ?? "")
  }
  return texts.join(" ")
}
