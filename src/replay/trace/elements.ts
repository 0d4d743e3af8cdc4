// The elements of one JSON array as texts, so that a file that is a single array of any size is
// read element by element. It finds where elements end (depth and strings); what they hold is for
// JSON.parse to judge.
import { type ByteSource, lineBytesMax, type LineReader } from "./lines.ts"
import { TraceError } from "./Trace.ts"

const code = (text: string) => text.charCodeAt(0)
const quote = code('"')
const escape = code("\\")
const comma = code(",")
const lineFeed = 10
const opening = new Set([code("["), code("{")])
const closing = new Set([code("]"), code("}")])
const blank = new Set([code(" "), code("\t"), code("\r"), lineFeed, 0xef, 0xbb, 0xbf])

interface Scan {
  /** 0 outside of the array, 1 between its elements. */
  depth: number
  inString: boolean
  escaped: boolean
  over: boolean
}

/** Takes one byte; true where an element has ended before it. */
const step = (scan: Scan, byte: number): boolean => {
  if (scan.inString) {
    if (scan.escaped) scan.escaped = false
    else if (byte === escape) scan.escaped = true
    else if (byte === quote) scan.inString = false
    return false
  }
  if (byte === quote) scan.inString = true
  else if (opening.has(byte)) scan.depth++
  else if (closing.has(byte)) {
    scan.depth--
    scan.over = scan.depth === 0
    return scan.over
  } else if (byte === comma) return scan.depth === 1
  return false
}

export const readElements = (source: ByteSource): LineReader => {
  const { file } = source
  const scan: Scan = { depth: 0, inString: false, escaped: false, over: false }
  let piece: Buffer = Buffer.alloc(0)
  let at = 0
  let line = 1

  const fail = (reason: "cutOff" | "lineTooLong", detail: string) =>
    new TraceError({ reason, file, line, detail })

  /** Up to where the element ends; blank ones are what stands between brackets and commas. */
  const nextElement = () => {
    const parts: Array<Buffer> = []
    let length = 0
    let startLine = 0
    for (;;) {
      let start = at
      for (; at < piece.length; at++) {
        const byte = piece[at] ?? 0
        if (byte === lineFeed) line++
        const wasOutside = scan.depth === 0
        const ended = step(scan, byte)
        // The array's own bracket, and blanks before an element, belong to none.
        if (wasOutside || (length === 0 && start === at && blank.has(byte))) start = at + 1
        else if (startLine === 0) startLine = line
        if (!ended) continue
        parts.push(Buffer.from(piece.subarray(start, at)))
        at++
        return { file, line: startLine, text: Buffer.concat(parts).toString("utf8") }
      }
      const rest = piece.subarray(start, at)
      length += rest.length
      if (length > lineBytesMax) {
        return fail("lineTooLong", `an element is longer than ${lineBytesMax} bytes`)
      }
      if (rest.length > 0) parts.push(Buffer.from(rest))
      const read = source.read()
      if (read instanceof TraceError) return read
      if (read.length === 0) return fail("cutOff", "the file ends inside of its array")
      piece = read
      at = 0
    }
  }

  const next = () => {
    while (!scan.over) {
      const element = nextElement()
      if (element instanceof TraceError || element.text.trim() !== "") return element
    }
    return null
  }
  return { next, close: source.close }
}
