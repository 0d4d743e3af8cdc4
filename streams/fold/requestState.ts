// The fold of a request's entries, in log order, is the truth: the same on every relay, replay and
// worker. Pure: no clock, no randomness, no input but the entries.
import type { TokenLogprob } from "../../schemas/types.ts"

/** A token that counts. `number` runs from 1 over the whole request; a cursor is a number delivered. */
export interface TokenEvent {
  readonly kind: "token"
  readonly number: number
  readonly choice: number
  readonly position: number
  readonly id: number
  readonly text: string
  readonly logprob: TokenLogprob | null
  /** Set on the choice's last token. */
  readonly finish: "stop" | "length" | null
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
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly completionTokens: number
}

export type RequestEvent = TokenEvent | TerminalEvent
