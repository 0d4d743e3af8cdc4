// The last frames of a request in OpenAI's dialects: usage where it was asked for, or the error
// that ended it, then [DONE]. All carry the terminal event's number: a client that saw one of them
// and comes back is told that there is nothing more.
import type { TerminalEvent } from "../../../../streams/fold/requestState.ts"
import { toErrorBody } from "../../errors.ts"
import type { Frame } from "./Projection.ts"
import { terminalError } from "./terminalError.ts"
import { usageOf } from "./usage.ts"

export const doneData = "[DONE]"

export const terminalFrames = (
  event: TerminalEvent,
  emptyAnswer: Readonly<Record<string, unknown>>,
  includeUsage: boolean,
): ReadonlyArray<Frame> => {
  const cursor = event.number
  const done: Frame = { cursor, data: doneData }
  const error = terminalError(event)
  if (error !== null) return [{ cursor, data: JSON.stringify(toErrorBody(error)) }, done]
  if (!includeUsage) return [done]
  return [{ cursor, data: JSON.stringify({ ...emptyAnswer, usage: usageOf(event) }) }, done]
}
