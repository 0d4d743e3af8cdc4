// Mooncake's JSON lines: arrival in ms, lengths in tokens, and the ids of prefix blocks of 512
// tokens. vLLM's timed traces have the same shape.
import type { Fields } from "../Fields.ts"
import { bareRequest, type TraceRequest } from "../Trace.ts"

const blockTokens = 512

export const fromMooncake = (fields: Fields): TraceRequest => ({
  ...bareRequest,
  atMs: fields.time("timestamp"),
  promptTokens: fields.whole("input_length"),
  outputTokens: fields.whole("output_length"),
  blocks: fields.has("hash_ids")
    ? { tokens: blockTokens, hashes: fields.ids("hash_ids").map(String) }
    : null,
})

/** Its ids are numbers in the order of their first use; what has no times arrives at 0. */
export const toMooncake = () => {
  const numbers = new Map<string, number>()
  const numberOf = (hash: string) => {
    const known = numbers.get(hash)
    if (known !== undefined) return known
    numbers.set(hash, numbers.size)
    return numbers.size - 1
  }
  return (request: TraceRequest): string =>
    JSON.stringify({
      timestamp: Math.round(request.atMs ?? 0),
      input_length: request.promptTokens ?? 0,
      output_length: request.outputTokens ?? 0,
      hash_ids: inBlocks(request).map(numberOf),
    })
}

/** A block of 512 is named by the last of the smaller blocks in it: chains name what is before. */
const inBlocks = ({ blocks }: TraceRequest): ReadonlyArray<string> => {
  if (blocks === null) return []
  const each = Math.max(1, Math.round(blockTokens / blocks.tokens))
  const count = Math.ceil(blocks.hashes.length / each)
  return Array.from({ length: count }, (_, i) => {
    const last = Math.min(blocks.hashes.length, (i + 1) * each) - 1
    return blocks.hashes[last] ?? ""
  })
}
