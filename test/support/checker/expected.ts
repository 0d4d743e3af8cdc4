// The frames that every client of a request must see, by the canon of its log: the dialect's own
// projection, run once over all events.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { dialectOf } from "../../../src/api/answer/dialect/dialects.ts"
import type { Frame, ModelFacts } from "../../../src/api/answer/dialect/Projection.ts"
import type { Canon } from "./referenceFold.ts"

export interface Expected {
  readonly canon: Canon
  readonly frames: ReadonlyArray<Frame>
}

/** Tokens' own texts matter to logprobs only: who checks those gives the model's facts. */
const noFacts: ModelFacts = {
  tokenText: (id) => String(id),
  tokenBytes: () => new Uint8Array(0),
  specialIds: new Set(),
}

export const expectedFrames = (
  request: RequestAccepted,
  canon: Canon,
  facts: ModelFacts = noFacts,
): Expected => {
  const projection = Effect.runSync(dialectOf(request.dialect))(request, facts)
  const frames = [...projection.begin(), ...canon.events.flatMap((event) => projection.push(event))]
  return { canon, frames }
}
