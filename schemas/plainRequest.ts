// What a request asks for that asks for nothing in particular: the likeliest token each time, one
// choice, streamed. Who makes requests without a client's body spreads these and names its changes.
import type { AnswerOptions, Sampling } from "./types.ts"

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
  seed: 0,
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
