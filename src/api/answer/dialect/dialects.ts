// Which dialects there are. A request names the one in which it was made; any of them can show its
// events, so a client may ask to go on in another.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../../schemas/types.ts"
import { type ApiError, apiError } from "../../errors.ts"
import { chatCollector, chatProjection } from "./chat.ts"
import { completionsCollector, completionsProjection } from "./completions.ts"
import { choiceCount, type MakeCollector, type MakeProjection } from "./Projection.ts"
import { responsesCollector, responsesProjection } from "./responses.ts"
import { streamProjection } from "./stream.ts"
import { uiProjection } from "./ui.ts"

const projections: ReadonlyMap<string, MakeProjection> = new Map([
  ["completions", completionsProjection],
  ["chat", chatProjection],
  ["stream", streamProjection],
  ["responses", responsesProjection],
  ["ui", uiProjection],
])

const shownMax = 40

/** By its name, which a client or a foreign producer may have misspelt. */
export const dialectOf = (name: string): Effect.Effect<MakeProjection, ApiError> => {
  const make = projections.get(name)
  if (make !== undefined) return Effect.succeed(make)
  const allowed = [...projections.keys()].join(", ")
  const found = JSON.stringify(name.slice(0, shownMax))
  const message = `There is no dialect ${found}; there are ${allowed}.`
  return Effect.fail(apiError("invalidValue", message, { param: "dialect" }))
}

/** Those whose frames know one choice only. */
const ofOneChoice = new Set(["responses", "ui"])

/** The dialect in which a request's events are asked for: its own, or another one. */
export const dialectFor = (
  request: RequestAccepted,
  asked: string | null,
): Effect.Effect<MakeProjection, ApiError> => {
  const name = asked ?? request.dialect
  if (!ofOneChoice.has(name) || choiceCount(request) === 1) return dialectOf(name)
  const message = `The dialect ${name} shows one choice; this request has more.`
  return Effect.fail(apiError("invalidValue", message, { param: "dialect" }))
}

const collectors: ReadonlyMap<string, MakeCollector> = new Map([
  ["chat", chatCollector],
  ["responses", responsesCollector],
])

/** A whole answer exists in OpenAI's dialects only: a WebSocket answer is always a stream. */
export const collectorOf = (dialect: string): MakeCollector =>
  collectors.get(dialect) ?? completionsCollector
