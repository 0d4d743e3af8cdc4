// A file as lines, or as the elements of one JSON array, read in pieces of bounded size: a trace of
// a hundred gigabytes takes no more memory than its longest line, and that has a bound. Marks of
// byte order and carriage returns at a line's end are no part of it.
import { closeSync, openSync, readSync } from "node:fs"
import { Result } from "effect"
import { type Place, TraceError } from "./Trace.ts"

const readBytes = 65_536

/** Of one line or element: a prompt of a million tokens has a few megabytes. */
export const lineBytesMax = 16 * 1024 * 1024

export interface Line extends Place {
  readonly text: string
}

export interface LineReader {
  /** null at the end; blank lines do not come. */
  readonly next: () => Line | TraceError | null
  readonly close: () => void
}

const causes: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read by this user",
}

const unreadable = (file: string) => (error: unknown) => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
  const detail = causes[code] ?? `it cannot be read (${code})`
  return new TraceError({ reason: "unreadable", file, line: 0, detail })
}

/** Where bytes come from, in pieces; a piece is valid until the next call, empty at the end. */
export interface ByteSource {
  readonly file: string
  readonly read: () => Buffer | TraceError
  readonly close: () => void
}

export const openBytes = (file: string): ByteSource | TraceError => {
  const opened = Result.try({ try: () => openSync(file, "r"), catch: unreadable(file) })
  if (Result.isFailure(opened)) return opened.failure
  const buffer = Buffer.allocUnsafe(readBytes)
  const descriptor = opened.success
  const read = () => {
    const count = Result.try({
      try: () => readSync(descriptor, buffer),
      catch: unreadable(file),
    })
    return Result.isFailure(count) ? count.failure : buffer.subarray(0, count.success)
  }
  return { file, read, close: () => closeSync(descriptor) }
}

const tooLong = (place: Place) =>
  new TraceError({
    reason: "lineTooLong",
    file: place.file,
    line: place.line,
    detail: `this line or element is longer than ${lineBytesMax} bytes`,
  })

const lineFeed = 10
const markOfOrder = "\uFEFF"

/** Lines that are not blank, with the numbers that they have in the file. */
export const readLines = (source: ByteSource): LineReader => {
  let piece: Buffer = Buffer.alloc(0)
  let at = 0
  let line = 0
  let done = false
  const file = source.file

  /** The bytes up to the next line feed, joined over pieces. */
  const nextBytes = (): Buffer | TraceError | null => {
    const parts: Array<Buffer> = []
    let length = 0
    for (;;) {
      const end = piece.indexOf(lineFeed, at)
      const upTo = end < 0 ? piece.length : end
      const part = piece.subarray(at, upTo)
      length += part.length
      if (length > lineBytesMax) return tooLong({ file, line: line + 1 })
      at = upTo + 1
      if (end >= 0) return parts.length === 0 ? part : Buffer.concat([...parts, part])
      if (part.length > 0) parts.push(Buffer.from(part))
      if (done) return length === 0 ? null : Buffer.concat(parts)
      const read = source.read()
      if (read instanceof TraceError) return read
      done = read.length === 0
      piece = read
      at = 0
    }
  }

  const next = (): Line | TraceError | null => {
    for (;;) {
      const bytes = nextBytes()
      if (bytes === null || bytes instanceof TraceError) return bytes
      line++
      let text = bytes.toString("utf8")
      if (line === 1 && text.startsWith(markOfOrder)) text = text.slice(1)
      if (text.endsWith("\r")) text = text.slice(0, -1)
      if (text.trim() !== "") return { file, line, text }
    }
  }
  return { next, close: source.close }
}
