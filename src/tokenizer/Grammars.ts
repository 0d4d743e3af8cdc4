// Which grammars a model can follow: asked before a request is taken, so that a schema that
// cannot be honoured is refused and not found out by a worker. Here is the question alone; what
// answers it is the native engine's (src/generate/engine/grammars.ts). A process that has nothing
// to answer with says that it is not built.
import { Context, Effect, Schema } from "effect"
import type { RequestGrammar } from "../../schemas/types.ts"

export class GrammarError extends Schema.TaggedError<GrammarError>()("GrammarError", {
  /** notBuilt: the grammar library is not there. invalid: the grammar cannot be followed. */
  reason: Schema.Literals(["notBuilt", "invalid"]),
  message: Schema.String,
}) {}

const notBuiltMessage =
  "Structured output needs the grammar library, which is not built here: install Rust's cargo " +
  "(https://rustup.rs), then run npm run grammar; nothing has to be started again."

export const notBuilt = (): GrammarError =>
  new GrammarError({ reason: "notBuilt", message: notBuiltMessage })

/** A model's tokens for the library: their bytes one after another, and how long each is. */
export interface GrammarTokens {
  readonly bytes: Uint8Array
  readonly lengths: Uint32Array
  readonly eosIds: Uint32Array
}

export interface GrammarsShape {
  /** Compiled off the event loop, and kept for the request's start. */
  readonly check: (grammar: RequestGrammar) => Effect.Effect<void, GrammarError>
}

export const Grammars = Context.Reference<GrammarsShape>("sluice/tokenizer/Grammars", {
  defaultValue: () => ({ check: () => Effect.fail(notBuilt()) }),
})
