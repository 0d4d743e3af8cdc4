// What clients lived through, as lines that a file can hold: each event as it came, with its cursor
// and the time. A connection is one attempt to read one request; its number is its client's own.

interface Line {
  readonly client: string
  readonly requestId: string
  /** ms since the epoch, by the client's clock. */
  readonly at: number
}

/** A success byte came: the server promised that the request is durable. */
export interface AcceptedLine extends Line {
  readonly kind: "accepted"
}

/** A stream of the request's events began, from after this cursor on. */
export interface OpenedLine extends Line {
  readonly kind: "opened"
  readonly connection: number
  readonly cursor: number
}

/** One block of the stream: its id, and its data byte for byte. */
export interface EventLine extends Line {
  readonly kind: "event"
  readonly connection: number
  readonly cursor: number
  readonly data: string
}

/** The server ended the stream of itself, or said that nothing is left (204). */
export interface EndedLine extends Line {
  readonly kind: "ended"
  readonly connection: number
}

/** A cancel was acknowledged. */
export interface CancelledLine extends Line {
  readonly kind: "cancelled"
}

/** The cursor is past retention: the server said so. */
export interface GoneLine extends Line {
  readonly kind: "gone"
  readonly connection: number
}

export type HistoryLine =
  AcceptedLine | OpenedLine | EventLine | EndedLine | CancelledLine | GoneLine

export const lineText = (line: HistoryLine): string => `${JSON.stringify(line)}\n`

const kinds = new Set(["accepted", "opened", "event", "ended", "cancelled", "gone"])

const isLine = (value: unknown): value is HistoryLine =>
  typeof value === "object" &&
  value !== null &&
  "kind" in value &&
  typeof value.kind === "string" &&
  kinds.has(value.kind)

/** A last line that was cut off by its writer's death is no line. */
export const readLines = (text: string): ReadonlyArray<HistoryLine> =>
  text.split("\n").flatMap((line) => {
    if (line === "" || !line.endsWith("}")) return []
    const value: unknown = JSON.parse(line)
    if (!isLine(value)) throw new Error(`no history line: ${line.slice(0, 200)}`)
    return [value]
  })
