// Prompts as chains of block hashes: enough to tell which prompts shared which beginnings, and not
// to tell what they said. Each hash covers all that is before it, as prefix caches see it.
import { createHmac } from "node:crypto"

/** As the engine's blocks. */
export const blockTokens = 16

const hexDigits = 16

/** `salt`: of one export; without it nobody can try prompts until a hash is the same. */
export const promptBlocks = (ids: ReadonlyArray<number>, salt: string): ReadonlyArray<string> => {
  let before = ""
  return Array.from({ length: Math.ceil(ids.length / blockTokens) }, (_, block) => {
    const own = ids.slice(block * blockTokens, (block + 1) * blockTokens).join(" ")
    before = createHmac("sha256", salt).update(`${before}|${own}`).digest("hex").slice(0, hexDigits)
    return before
  })
}
