// A trace from a file of any known format, told by its first line unless it is named. Requests come
// with times from the first one's; a time that goes back is an error, not a guess.
import { Predicate } from "effect"
import { readRows } from "./csv.ts"
import { readElements } from "./elements.ts"
import { Fields, parseJson } from "./Fields.ts"
import { azureColumns, fromAzure } from "./format/azure.ts"
import { burstGptColumns, fromBurstGpt } from "./format/burstGpt.ts"
import { fromMooncake } from "./format/mooncake.ts"
import { fromShareGpt } from "./format/shareGpt.ts"
import { fromHead, fromSluice, type TraceHead } from "./format/sluice.ts"
import { fromVllm, fromVllmResult } from "./format/vllm.ts"
import { type LineReader, openBytes, readLines } from "./lines.ts"
import {
  bareRequest,
  type Format,
  TraceError,
  type TraceReader,
  type TraceRequest,
} from "./Trace.ts"

type Next = () => TraceRequest | TraceError | null

/** A record's request, or the first thing that is wrong with it. */
const checked = (fields: Fields, read: (fields: Fields) => TraceRequest) => {
  const request = fields.error === null ? read(fields) : bareRequest
  return fields.error ?? request
}

const records =
  (lines: LineReader, read: (fields: Fields) => TraceRequest | null): Next =>
  () => {
    for (;;) {
      const line = lines.next()
      if (line === null || line instanceof TraceError) return line
      const fields = new Fields(line, parseJson(line, line.text))
      const request = fields.error === null ? read(fields) : bareRequest
      if (fields.error !== null) return fields.error
      if (request !== null) return request
    }
  }

const rows = (
  lines: LineReader,
  columns: ReadonlyArray<string>,
  read: (fields: Fields) => TraceRequest,
): Next => {
  const next = readRows(lines, columns)
  return () => {
    const row = next()
    return row instanceof Fields ? checked(row, read) : row
  }
}

const sluice = (lines: LineReader): Next => {
  let head: TraceHead | null = null
  return records(lines, (fields) => {
    if (head !== null) return fromSluice(fields, head)
    head = fromHead(fields)
    return null
  })
}

const prompts =
  (lines: LineReader): Next =>
  () => {
    const line = lines.next()
    if (line === null || line instanceof TraceError) return line
    return { ...bareRequest, prompt: { kind: "text", text: line.text } }
  }

/** One object with lists: a result of vLLM's benchmark, which is read as a whole. */
const vllmResult = (lines: LineReader): Next => {
  let requests: ReadonlyArray<TraceRequest> | null = null
  let at = 0
  return () => {
    if (requests === null) {
      const line = lines.next()
      if (line === null || line instanceof TraceError) return line
      const fields = new Fields(line, parseJson(line, line.text))
      if (fields.error === null) requests = fromVllmResult(fields)
      if (fields.error !== null) return fields.error
    }
    return requests?.[at++] ?? null
  }
}

interface Sniffed {
  readonly format: Format
  /** As the file's first character says. */
  readonly isArray: boolean
  readonly isResult: boolean
}

const ofObject = (value: Readonly<Record<string, unknown>>): Omit<Sniffed, "isArray"> | null => {
  const is = (format: Format, isResult = false) => ({ format, isResult })
  if ("sluice_trace" in value) return is("sluice")
  if ("input_length" in value) return is("mooncake")
  if ("input_lens" in value) return is("vllm", true)
  if ("conversations" in value || "conversation" in value) return is("sharegpt")
  return "prompt" in value ? is("vllm") : null
}

const sniff = (first: string): Sniffed | null => {
  const start = first.trimStart()
  if (start.startsWith("[")) return { format: "sharegpt", isArray: true, isResult: false }
  if (start.startsWith("{")) {
    const value = parseJson({ file: "", line: 1 }, first)
    const known = Predicate.isObject(value) && !(value instanceof TraceError) ? { ...value } : {}
    const found = ofObject(known)
    return found === null ? null : { ...found, isArray: false }
  }
  const has = (columns: ReadonlyArray<string>) => columns.every((name) => first.includes(name))
  const format = has(azureColumns) ? "azure" : has(burstGptColumns) ? "burstgpt" : "prompts"
  return { format, isArray: false, isResult: false }
}

const nextOf = (lines: LineReader, { format, isResult }: Sniffed): Next => {
  switch (format) {
    case "sluice":
      return sluice(lines)
    case "mooncake":
      return records(lines, fromMooncake)
    case "azure":
      return rows(lines, azureColumns, fromAzure)
    case "burstgpt":
      return rows(lines, burstGptColumns, fromBurstGpt)
    case "vllm":
      return isResult ? vllmResult(lines) : records(lines, fromVllm)
    case "sharegpt":
      return records(lines, fromShareGpt)
    case "prompts":
      return prompts(lines)
  }
}

/** Times from the first request's on, and never back. */
const fromTheFirst = (file: string, next: Next): Next => {
  let first: number | null = null
  let last = 0
  let count = 0
  return () => {
    const request = next()
    if (request === null || request instanceof TraceError) return request
    count++
    if (request.atMs === null) return request
    first ??= request.atMs
    const atMs = request.atMs - first
    if (atMs < last) {
      const detail = `request ${count} arrives ${last - atMs} ms before the one above it`
      return new TraceError({ reason: "timeGoesBack", file, line: 0, detail })
    }
    last = atMs
    return { ...request, atMs }
  }
}

const firstLine = (file: string): string | TraceError => {
  const source = openBytes(file)
  if (source instanceof TraceError) return source
  const line = readLines(source).next()
  source.close()
  if (line instanceof TraceError) return line
  const empty = { reason: "empty" as const, file, line: 0, detail: "there is nothing in it" }
  return line === null ? new TraceError(empty) : line.text
}

export interface OpenTrace extends TraceReader {
  readonly format: Format
}

/** `named`: null to tell by the first line. */
export const openTrace = (file: string, named: Format | null): OpenTrace | TraceError => {
  const first = firstLine(file)
  if (first instanceof TraceError) return first
  const found = sniff(first)
  const guess = found === null || (named !== null && found.format !== named) ? null : found
  const sniffed = guess ?? (named && { format: named, isArray: false, isResult: false })
  if (sniffed === null) {
    const detail = "its first line tells no known format; name one with --format"
    return new TraceError({ reason: "unknownFormat", file, line: 1, detail })
  }
  const source = openBytes(file)
  if (source instanceof TraceError) return source
  const lines = found?.isArray === true ? readElements(source) : readLines(source)
  const next = fromTheFirst(file, nextOf(lines, sniffed))
  return { format: sniffed.format, next, close: lines.close }
}
