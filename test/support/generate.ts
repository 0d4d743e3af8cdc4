// Requests and a tokenizer for tests of the worker: ids are character codes, so a text can be read
// off its ids. Ids from 256 on are special.
import type { RequestAccepted, Sampling } from "../../schemas/types.ts"
import type { TokenizerModel } from "../../src/tokenizer/Tokenizer.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { plainAnswer, plainSampling } from "./requestParts.ts"

export const letters: TokenizerModel = {
  vocabSize: 258,
  bosId: 256,
  eosIds: [257],
  specialIds: new Set([256, 257]),
  tokenBytes: (id) => (id >= 0 && id < 256 ? Uint8Array.of(id) : new Uint8Array(0)),
  tokenText: (id) => String.fromCharCode(id),
  stripsLeadingSpace: false,
}

export const sampling = (changes: Partial<Sampling> = {}): Sampling => ({
  ...plainSampling,
  ignoreEos: true,
  ...changes,
})

export const accepted = (
  changes: Partial<Sampling> = {},
  more: Partial<RequestAccepted> = {},
): RequestAccepted => ({
  requestId: newRequestId(Date.now()),
  acceptedAt: Date.now(),
  deadline: Date.now() + 600_000,
  model: "scripted",
  version: "1",
  tier: "default",
  tenant: "",
  dialect: "completions",
  promptCacheKey: null,
  grammar: null,
  tools: null,
  textFormat: null,
  prompts: [[72, 105]],
  n: 1,
  sampling: sampling(changes),
  answer: plainAnswer,
  traceparent: null,
  ...more,
})
