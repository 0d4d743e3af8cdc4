// The dialect of POST /v1/ui/chat: the Vercel AI SDK's stream of UI message chunks, version 1. It
// counts its own chunks; each token makes one delta, held-back text an empty one, so the count
// follows from the number of tokens. An answer is one text part in one step.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TerminalEvent } from "../../../../streams/fold/requestState.ts"
import { messageIdOf } from "./responseObject.ts"
import type { Frame, MakeProjection, Progress } from "./Projection.ts"
import { doneData } from "./terminal.ts"
import { terminalError } from "./terminalError.ts"
import { usageOf } from "./usage.ts"

const json = JSON.stringify

/** start and start-step; text-start and text-end around the deltas. */
const framesToBegin = 2
/** finish-step or what went wrong, finish, [DONE]. */
const framesToEnd = 3

const countOf = ({ events, terminal }: Progress): number => {
  const over = terminal !== null
  const tokens = over ? events - 1 : events
  const text = tokens > 0 ? 1 + tokens + (over ? 1 : 0) : 0
  return framesToBegin + text + (over ? framesToEnd : 0)
}

const reasonOf = (terminal: TerminalEvent, finish: "stop" | "length" | null): string => {
  if (terminal.outcome === "finished") return finish ?? "stop"
  return terminal.outcome === "cancelled" ? "other" : "error"
}

const endOf = (terminal: TerminalEvent): Readonly<Record<string, unknown>> => {
  if (terminal.outcome === "finished") return { type: "finish-step" }
  const errorText = terminalError(terminal)?.message ?? ""
  return terminal.outcome === "cancelled"
    ? { type: "abort", reason: errorText }
    : { type: "error", errorText }
}

export const uiProjection: MakeProjection = (request: RequestAccepted) => {
  const { requestId } = request
  const id = messageIdOf(requestId)
  const deltaHead = `{"type":"text-delta","id":${json(id)},"delta":`
  let count = 0
  let hasText = false
  let finish: "stop" | "length" | null = null

  const write = (data: string): Frame => ({ cursor: ++count, data })
  const make = (chunk: Readonly<Record<string, unknown>>): Frame => write(json(chunk))

  return {
    needsHistory: true,
    headers: { "x-vercel-ai-ui-message-stream": "v1" },
    cursorOf: countOf,
    begin: () => [
      // The request's id is what cancels it: to stop reading does not.
      make({ type: "start", messageId: id, messageMetadata: { requestId } }),
      make({ type: "start-step" }),
    ],
    push: (event) => {
      if (event.kind === "token") {
        const opened = hasText ? [] : [make({ type: "text-start", id })]
        hasText = true
        finish = event.finish
        return [...opened, write(`${deltaHead}${json(event.text)}}`)]
      }
      const messageMetadata = { requestId, usage: usageOf(event) }
      return [
        ...(hasText ? [make({ type: "text-end", id })] : []),
        make(endOf(event)),
        make({ type: "finish", finishReason: reasonOf(event, finish), messageMetadata }),
        write(doneData),
      ]
    },
    idle: () => ({ data: json({ type: "message-metadata", messageMetadata: { requestId } }) }),
    fault: ({ error }) => ({ data: json({ type: "error", errorText: error.message }) }),
  }
}
