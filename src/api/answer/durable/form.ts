// The two forms in which a request is read as a Durable Stream: its text, or its messages in a
// dialect as JSON. How pieces become a body or an event, and what an offset looks like: a cursor in
// fixed width, so that offsets sort as text.
import { type MakeProjection, numberedByEvents } from "../dialect/Projection.ts"
import { doneData } from "../dialect/terminal.ts"

export interface Form {
  readonly type: "text/plain" | "application/json"
  /** Of one read, gathered pieces in order. */
  readonly body: (pieces: ReadonlyArray<string>) => string
}

export const textForm: Form = { type: "text/plain", body: (pieces) => pieces.join("") }

export const jsonForm: Form = {
  type: "application/json",
  body: (pieces) => `[${pieces.join(",")}]`,
}

/** The end mark of OpenAI's dialects is no JSON: here a stream is closed instead. */
export const isPiece = (data: string): boolean => data !== "" && data !== doneData

/** The text of the first choice as it comes, and nothing else. */
export const textProjection: MakeProjection = () => ({
  ...numberedByEvents,
  needsHistory: false,
  idle: () => ({ data: "" }),
  push: (event) => {
    const said = event.kind === "token" && event.choice === 0 ? event.text : ""
    return [{ cursor: event.number, data: said }]
  },
})

const offsetDigits = 16

export const offsetOf = (cursor: number): string => String(cursor).padStart(offsetDigits, "0")

const lines = /\r\n|\n|\r/

/** An event without a space after the colon, as the protocol writes it. */
export const durableEvent = (name: "data" | "control", data: string): string =>
  `event: ${name}\n${data
    .split(lines)
    .map((line) => `data:${line}\n`)
    .join("")}\n`
