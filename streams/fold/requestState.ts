// The fold of a request's entries, in log order, is the truth: the same on every relay, replay and
// worker. Pure: no clock, no randomness, no input but the entries, so that equal logs give equal
// events. What does not count leaves no trace; nothing here fails, whatever the entries say.
import type {
  FinishReason,
  TokenEntry,
  TokenLogprob,
  TokensGenerated,
} from "../../schemas/types.ts"

/**
 * A token that counts. `number` runs from 1 over the whole request; a cursor is a number delivered.
 */
export interface TokenEvent {
  readonly kind: "token"
  readonly number: number
  readonly choice: number
  readonly position: number
  readonly id: number
  readonly text: string
  readonly logprob: TokenLogprob | null
  /** At position 0 where prompts were scored: by prompt, of its tokens 1..; null elsewhere. */
  readonly promptLogprobs: ReadonlyArray<ReadonlyArray<TokenLogprob> | null> | null
  /** Set on the choice's last token. */
  readonly finish: FinishReason | null
  readonly stopReason: string | null
}

export type Outcome = "finished" | "failed" | "cancelled" | "expired" | "deadLettered"

/** The last event of every request; its number is one past the last token's. */
export interface TerminalEvent {
  readonly kind: "terminal"
  readonly number: number
  readonly outcome: Outcome
  /** Error code and sentence of failed, expired and deadLettered; empty otherwise. */
  readonly code: string
  readonly message: string
  /** As GenerationFinished counted them; 0 with every other outcome. */
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly completionTokens: number
  /** Where prompts were scored and no token came that could carry it, as a token would. */
  readonly promptLogprobs?: NonNullable<TokenEvent["promptLogprobs"]>
}

export type RequestEvent = TokenEvent | TerminalEvent

/** What counts of one choice. Its tokens are in the events: who needs them keeps them. */
export interface ChoiceState {
  /** Positions that count. */
  tokens: number
  finish: FinishReason | null
  stopReason: string | null
}

/**
 * Owned by whoever made it with `emptyState` and changed by `apply` alone; nobody else keeps a
 * reference over a call of `apply`. Its size is that of the request's choices, not of its tokens.
 */
export interface RequestState {
  /** 0 before the first claim. */
  attempt: number
  /** Who made the current claim: the only writer whose tokens count. */
  claimant: string | null
  readonly choices: Array<ChoiceState>
  /** By prompt; null where no PromptScored counted. */
  readonly promptLogprobs: Array<ReadonlyArray<TokenLogprob> | null>
  /** The number of the last event: the highest cursor there is. */
  events: number
  terminal: TerminalEvent | null
}

/**
 * Choices and prompts of a request at or above it are void, so that no entry can ask for memory.
 */
export const choicesMax = 65_536

const none: ReadonlyArray<RequestEvent> = []

const emptyChoice = (): ChoiceState => ({
  tokens: 0,
  finish: null,
  stopReason: null,
})

/**
 * `choices` are there from the start (a request's are prompts * n); others appear with their
 * tokens.
 */
export const emptyState = (choices = 0): RequestState => ({
  attempt: 0,
  claimant: null,
  choices: Array.from({ length: choices }, emptyChoice),
  promptLogprobs: [],
  events: 0,
  terminal: null,
})

/** Positions that count, over all choices. */
export const completionTokens = (state: RequestState): number =>
  state.choices.reduce((sum, choice) => sum + choice.tokens, 0)

const choiceAt = (state: RequestState, index: number): ChoiceState | null => {
  if (index < 0 || index >= choicesMax) return null
  while (state.choices.length <= index) state.choices.push(emptyChoice())
  return state.choices[index] ?? null
}

/** A copy: the state goes on changing after its events are given away. */
const scoredPrompts = (state: RequestState): TokenEvent["promptLogprobs"] =>
  state.promptLogprobs.length === 0 ? null : state.promptLogprobs.slice()

/** Positions already held are dropped, the rest appended; a gap is never applied. */
const applyTokens = (state: RequestState, entry: TokensGenerated): ReadonlyArray<RequestEvent> => {
  const choice = choiceAt(state, entry.choice)
  if (choice === null || choice.finish !== null) return none
  const held = choice.tokens
  const count = entry.ids.length
  if (entry.position < 0 || entry.position > held || entry.position + count <= held) return none
  const events: Array<RequestEvent> = []
  for (let i = held - entry.position; i < count; i++) {
    const last = i === count - 1
    const id = entry.ids[i] ?? 0
    const text = entry.texts[i] ?? ""
    const logprob = entry.logprobs?.[i] ?? null
    const position = choice.tokens++
    events.push({
      kind: "token",
      number: ++state.events,
      choice: entry.choice,
      position,
      id,
      text,
      logprob,
      promptLogprobs: position === 0 ? scoredPrompts(state) : null,
      finish: last ? entry.finish : null,
      stopReason: last ? entry.stopReason : null,
    })
  }
  choice.finish = entry.finish
  choice.stopReason = entry.stopReason
  return events
}

interface Ending {
  readonly outcome: Outcome
  readonly code?: string
  readonly message?: string
  readonly promptTokens?: number
  readonly cachedTokens?: number
}

const end = (state: RequestState, ending: Ending): ReadonlyArray<RequestEvent> => {
  const scored = state.events === 0 ? scoredPrompts(state) : null
  const terminal: TerminalEvent = {
    kind: "terminal",
    number: ++state.events,
    outcome: ending.outcome,
    code: ending.code ?? "",
    message: ending.message ?? "",
    promptTokens: ending.promptTokens ?? 0,
    cachedTokens: ending.cachedTokens ?? 0,
    completionTokens: completionTokens(state),
    ...(scored === null ? {} : { promptLogprobs: scored }),
  }
  state.terminal = terminal
  return [terminal]
}

const expired: Ending = {
  outcome: "expired",
  code: "deadline_exceeded",
  message: "The request was not finished by its deadline.",
}

/**
 * Takes the next entry of the request in log order and returns the events that it makes. `writer`
 * is the frame's. After a terminal event nothing counts.
 */
export const apply = (
  state: RequestState,
  writer: string,
  entry: TokenEntry,
): ReadonlyArray<RequestEvent> => {
  if (state.terminal !== null) return none
  switch (entry.kind) {
    case "AttemptClaimed":
      if (entry.attempt === state.attempt + 1) {
        state.attempt = entry.attempt
        state.claimant = entry.worker
      }
      return none
    case "Cancelled":
      return end(state, { outcome: "cancelled" })
    case "Expired":
      return end(state, expired)
    case "DeadLettered":
      return end(state, { outcome: "deadLettered", code: entry.code, message: entry.message })
  }
  if (entry.attempt !== state.attempt || writer !== state.claimant) return none
  switch (entry.kind) {
    case "TokensGenerated":
      return applyTokens(state, entry)
    case "PromptScored":
      if (entry.prompt >= 0 && entry.prompt < choicesMax) {
        while (state.promptLogprobs.length <= entry.prompt) state.promptLogprobs.push(null)
        state.promptLogprobs[entry.prompt] ??= entry.logprobs
      }
      return none
    case "GenerationFinished":
      return end(state, {
        outcome: "finished",
        promptTokens: entry.promptTokens,
        cachedTokens: entry.cachedTokens,
      })
    case "GenerationFailed":
      return end(state, { outcome: "failed", code: entry.code, message: entry.message })
  }
}
