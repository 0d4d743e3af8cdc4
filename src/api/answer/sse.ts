// Server-sent events as every SDK survives them: `id` and `data` in one block, heartbeats as a
// comment of one line without the blank line that would dispatch an empty event (openai-python
// parses it as JSON and fails). Never a block of `id`, `retry` or empty data alone.
import type { ConfigShape } from "../../config/Config.ts"
import type { Frame, Note, Projection } from "./dialect/Projection.ts"

type HeartbeatMode = ConfigShape["heartbeat"]["mode"]

/** How frames become the text of a stream. Frames are gathered until they go out together. */
export interface Framing {
  readonly contentType: string
  /** Before any frame. */
  readonly begin: () => string
  /** What the frame adds to what is gathered. */
  readonly frame: (frame: Frame) => string
  readonly flush: (gathered: string) => string
  readonly end: (gathered: string) => string
  /** The stream breaks off for a reason that is no event of the request. */
  readonly broken: (gathered: string, note: Note) => string
  /** What keeps an idle stream alive. */
  readonly beat: (mode: HeartbeatMode, projection: Projection) => string
}

const named = ({ event, data }: Note): string =>
  event === undefined ? `data: ${data}\n\n` : `event: ${event}\ndata: ${data}\n\n`

export const sseFrame = (frame: Frame): string => `id: ${frame.cursor}\n${named(frame)}`

/** Of no event of the request, so it moves no cursor. */
export const sseUnnumbered = named

export const sseComment = ":\n"

const asGathered = (gathered: string): string => gathered

/** Every frame is an event with its cursor as its id. */
export const sseFraming: Framing = {
  contentType: "text/event-stream; charset=utf-8",
  begin: () => "",
  frame: sseFrame,
  flush: asGathered,
  end: asGathered,
  broken: (gathered, note) => gathered + sseUnnumbered(note),
  beat: (mode, projection) =>
    mode === "comment" ? sseComment : mode === "event" ? sseUnnumbered(projection.idle()) : "",
}

export const sseHeaders = (
  requestId: string,
  own: Readonly<Record<string, string>>,
): Record<string, string> => ({
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
  "x-request-id": requestId,
  ...own,
})
