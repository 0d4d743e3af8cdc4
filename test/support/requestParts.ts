// The parts of a request that most tests do not care about: greedy, one plain streamed choice. Who
// makes requests spreads these and names what it changes.
import type { AnswerOptions, Sampling } from "../../schemas/types.ts"

export const plainSampling: Sampling = {
  maxTokens: 16,
  minTokens: 0,
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  seed: 7,
  stop: [],
  stopTokenIds: [],
  ignoreEos: false,
  logprobs: -1,
  promptLogprobs: -1,
  skipSpecialTokens: true,
  includeStop: false,
}

export const plainAnswer: AnswerOptions = {
  stream: true,
  includeUsage: false,
  echo: false,
  echoTexts: [],
  returnTokenIds: false,
  cancelOnDisconnect: false,
  serviceTier: null,
  user: null,
  clientId: null,
  response: null,
}
