// Server-sent events as every SDK survives them: `id` and `data` in one block, heartbeats as a
// comment of one line without the blank line that would dispatch an empty event (openai-python
// parses it as JSON and fails). Never a block of `id`, `retry` or empty data alone.
import type { Frame } from "./dialect/Projection.ts"

/** `data` has no line break: it is JSON or [DONE]. */
export const sseFrame = (frame: Frame): string => `id: ${frame.cursor}\ndata: ${frame.data}\n\n`

/** Of no event of the request, so it moves no cursor. */
export const sseUnnumbered = (data: string): string => `data: ${data}\n\n`

export const sseComment = ":\n"

export const sseHeaders = (requestId: string): Record<string, string> => ({
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  "x-request-id": requestId,
})
