// Server-sent events as every SDK survives them: `id` and `data` in one block, heartbeats as a
// comment of one line without the blank line that would dispatch an empty event (openai-python
// parses it as JSON and fails). Never a block of `id`, `retry` or empty data alone.
import type { Frame, Note } from "./dialect/Projection.ts"

const named = ({ event, data }: Note): string =>
  event === undefined ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`

export const sseFrame = (frame: Frame): string => `id: ${frame.cursor}\n${named(frame)}`

/** Of no event of the request, so it moves no cursor. */
export const sseUnnumbered = named

export const sseComment = ":\n"

export const sseHeaders = (
  requestId: string,
  own: Readonly<Record<string, string>>,
): Record<string, string> => ({
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  "x-request-id": requestId,
  ...own,
})
