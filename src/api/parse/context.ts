// What a parser knows besides the body: who asks, under which id, and the bounds in force.
import type { Limits } from "../../config/Config.ts"
import type { Idempotency } from "../../enqueue/keys.ts"
import type { Tokenizer } from "../../tokenizer/Tokenizer.ts"

export interface ServedModel {
  readonly name: string
  /** Prompt and output of one choice together. */
  readonly contextTokensMax: number
}

/** One request's caller. */
export interface Caller {
  readonly requestId: string
  readonly tenant: string
  /** From the x-request-timeout header; null: the configured default. */
  readonly timeoutMs: number | null
  readonly traceparent: string | null
  /** Under which key it may be asked again; null: none. */
  readonly idempotency: Idempotency | null
}

export interface ParseContext {
  readonly caller: Caller
  readonly limits: Limits
  readonly tokenizer: Tokenizer["Service"]
  readonly model: ServedModel
}
