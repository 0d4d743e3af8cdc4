// What a client reads when the engine does not take its request: the code and the sentence of
// GenerationFailed. A full queue is not among them, it only makes a request wait.
import type { HardRefusal } from "./slots.ts"

export interface RefusalText {
  readonly code: string
  readonly message: string
}

const texts: Readonly<Record<Exclude<HardRefusal, "closed">, RefusalText>> = {
  tooLong: {
    code: "context_length_exceeded",
    message: "The prompt and the tokens asked for do not fit the model's context.",
  },
  unsupported: {
    code: "structured_output_unsupported",
    message: "The worker's engine cannot hold its output to a grammar.",
  },
  invalid: {
    code: "invalid_request",
    message: "The request holds token ids or settings that the model does not have.",
  },
}

/** What a client reads when the engine took its request and could not go on with it. */
export const failures: Readonly<Record<"failed" | "unmatched", RefusalText>> = {
  failed: { code: "engine_failed", message: "The engine failed this request." },
  // A gateway checked the grammar: its library is missing here, or a limit was met on the way.
  unmatched: {
    code: "grammar_failed",
    message:
      "The output could not be held to the grammar: it exceeds the limits of one token's work, " +
      "or the worker has no grammar library.",
  },
}

export const refusalText = (refusal: Exclude<HardRefusal, "closed">): RefusalText => texts[refusal]
