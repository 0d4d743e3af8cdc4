// Requests and events for tests of the answers, made by the real fold from entries that a worker
// would write: tokens are given as texts, their ids count up from 100.
import type { RequestAccepted, TokenEntry, TokenLogprob } from "../../../schemas/types.ts"
import {
  apply,
  emptyState,
  type RequestEvent,
  type TokenEvent,
} from "../../../streams/fold/requestState.ts"
import type { ModelFacts } from "../../../src/api/answer/dialect/Projection.ts"
import { plainAnswer, plainSampling } from "../requestParts.ts"

export const requestId = "req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5f"

type Changes = Partial<Omit<RequestAccepted, "sampling" | "answer">> & {
  readonly sampling?: Partial<RequestAccepted["sampling"]>
  readonly answer?: Partial<RequestAccepted["answer"]>
}

export const accepted = (changes: Changes = {}): RequestAccepted => ({
  requestId,
  acceptedAt: 1_800_000_000_123,
  deadline: 4_000_000_000_000,
  model: "tales",
  version: "1",
  tier: "default",
  tenant: "",
  dialect: "completions",
  promptCacheKey: null,
  grammar: null,
  tools: null,
  textFormat: null,
  prompts: [[1, 2, 3]],
  n: 1,
  traceparent: null,
  ...changes,
  sampling: { ...plainSampling, ...changes.sampling },
  answer: { ...plainAnswer, ...changes.answer },
})

export const logprob = (value: number): TokenLogprob => ({
  logprob: value,
  top: [
    { id: 7, logprob: value / 2 },
    { id: 8, logprob: Number.NEGATIVE_INFINITY },
  ],
})

export interface Said {
  readonly choice?: number
  readonly texts: ReadonlyArray<string>
  readonly finish?: "stop" | "length"
  readonly stopReason?: string
  readonly scored?: boolean
}

export type Ending = "finished" | "failed" | "cancelled" | "expired" | "deadLettered"

const endEntry = (ending: Ending, request: RequestAccepted): TokenEntry => {
  const base = { requestId: request.requestId, attempt: 1 }
  switch (ending) {
    case "finished":
      return { ...base, kind: "GenerationFinished", promptTokens: 3, cachedTokens: 2 }
    case "failed":
      return { ...base, kind: "GenerationFailed", code: "engine_lost", message: "The engine died." }
    case "cancelled":
      return { kind: "Cancelled", requestId: request.requestId, by: "client" }
    case "expired":
      return { kind: "Expired", requestId: request.requestId, deadline: request.deadline }
    case "deadLettered":
      return {
        kind: "DeadLettered",
        requestId: request.requestId,
        attempts: 3,
        code: "poison",
        message: "Three workers died of it.",
      }
  }
}

/** The events of a request whose worker said these things, one entry each, and ended so. */
export const eventsOf = (
  request: RequestAccepted,
  said: ReadonlyArray<Said>,
  ending: Ending | null = "finished",
  scores: ReadonlyArray<TokenLogprob> | null = null,
): ReadonlyArray<RequestEvent> => {
  const state = emptyState(request.prompts.length * request.n)
  const events: Array<RequestEvent> = []
  const push = (entry: TokenEntry) => events.push(...apply(state, "w", entry))
  const base = { requestId: request.requestId, attempt: 1 }
  push({ ...base, kind: "AttemptClaimed", worker: "w" })
  if (scores !== null) push({ ...base, kind: "PromptScored", prompt: 0, logprobs: scores })
  for (const { choice = 0, texts, finish, stopReason, scored } of said) {
    const position = state.choices[choice]?.tokens ?? 0
    push({
      ...base,
      kind: "TokensGenerated",
      choice,
      position,
      ids: texts.map((_, i) => 100 + position + i),
      texts,
      logprobs: scored === true ? texts.map((_, i) => logprob(-(position + i + 1))) : null,
      finish: finish ?? null,
      stopReason: stopReason ?? null,
    })
  }
  if (ending !== null) push(endEntry(ending, request))
  return events
}

export const tokenEvents = (events: ReadonlyArray<RequestEvent>): ReadonlyArray<TokenEvent> =>
  events.filter((event) => event.kind === "token")

/** Token i is shown as "<i>"; 1 is a special one. */
export const facts: ModelFacts = {
  tokenText: (id) => `<${id}>`,
  tokenBytes: (id) => Buffer.from(`<${id}>`),
  specialIds: new Set([1]),
}
