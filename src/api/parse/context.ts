// What a parser knows besides the body: who asks, under which id, and the bounds in force.
import type { Limits } from "../../config/Config.ts"
import type { Idempotency } from "../../enqueue/keys.ts"
import type { GrammarsShape } from "../../tokenizer/Grammars.ts"
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
  /** From the x-request-timeout header or its key's default; null: the general default. */
  readonly timeoutMs: number | null
  /** From the x-cancel-on-disconnect header, or the configured default. */
  readonly cancelOnDisconnect: boolean
  readonly traceparent: string | null
  /** Under which key it may be asked again; null: none. */
  readonly idempotency: Idempotency | null
}

export interface ParseContext {
  readonly caller: Caller
  readonly limits: Limits
  readonly tokenizer: Tokenizer["Service"]
  readonly grammars: GrammarsShape
  readonly model: ServedModel
}
