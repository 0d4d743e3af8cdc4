// How long a text may be before no encoding of it can fit the model's context: known without
// encoding it, so that a hostile megabyte costs nothing. Generous: whatever could fit is let
// through.
import type { ModelFolder } from "./modelFolder.ts"

/** Normalizers may join characters: canonical composition makes at most one of four. */
const unitsJoinedMax = 4

/** UTF-16 units; infinite where config.json names no context. */
export const textUnitsMax = ({ tokenizer, modelConfig }: ModelFolder): number => {
  const contextTokens = modelConfig.max_position_embeddings ?? Infinity
  let tokenUnits = 1
  for (const token in Object(tokenizer.model.vocab)) tokenUnits = Math.max(tokenUnits, token.length)
  for (const { content } of tokenizer.added_tokens) {
    tokenUnits = Math.max(tokenUnits, content.length)
  }
  return contextTokens * tokenUnits * unitsJoinedMax
}
