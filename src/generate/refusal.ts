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
  invalid: {
    code: "invalid_request",
    message: "The request holds token ids or settings that the model does not have.",
  },
}

export const refusalText = (refusal: Exclude<HardRefusal, "closed">): RefusalText => texts[refusal]
