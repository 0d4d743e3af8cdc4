// A small request to an engine, for tests to change what they are about.
import type { EngineSampling, EngineSequence } from "../../src/generate/engine/Engine.ts"

export const greedySampling: EngineSampling = {
  maxTokens: 12,
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
  choice: 0,
  stopTokenIds: [],
  ignoreEos: true,
  logprobs: -1,
  promptLogprobs: -1,
}

export const shortPrompt = [0, 300, 301, 302, 303]

export const makeSequence = (
  handle: number,
  changes: Partial<Omit<EngineSequence, "sampling">> & { sampling?: Partial<EngineSampling> } = {},
): EngineSequence => ({
  sequence: handle,
  promptIds: shortPrompt,
  generatedIds: [],
  priority: 0,
  arrivedAt: 1_700_000_000_000 + handle,
  grammar: null,
  cacheSalt: "",
  ...changes,
  sampling: { ...greedySampling, ...changes.sampling },
})
