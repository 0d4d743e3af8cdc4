// One answer as it comes: what of it is content, what ends it, and what is wrong with it. Told the
// pieces of a stream (or of one whole body) and their times; knows OpenAI's two dialects, and takes
// every server's word only as far as it is well formed.
import { Predicate, Result } from "effect"
import type { Failure } from "../measure/Tally.ts"
import { SseReader } from "./sse.ts"

/** A whole body is held until it ends. */
const bodyBytesMax = 16 * 1024 * 1024

export interface Piece {
  readonly choice: number
  readonly text: string
  readonly ids: ReadonlyArray<number>
}

export interface AnswerWatcher {
  /** A piece of content came; how many tokens it has is known where the server says ids. */
  readonly onContent: (tokens: number) => void
  readonly onPiece: ((piece: Piece) => void) | null
}

const parse = (text: string): unknown =>
  Result.getOrUndefined(Result.try((): unknown => JSON.parse(text)))

const wholeOr = (value: unknown, instead: number) =>
  Predicate.isNumber(value) && Number.isSafeInteger(value) && value >= 0 ? value : instead

const shownMax = 120

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  Predicate.isObject(value) ? value : {}

const textOf = (value: unknown): string => (Predicate.isString(value) ? value : "")

/** Text of a choice in any of the places where servers put what a model said. */
const contentOf = (choice: Readonly<Record<string, unknown>>): string => {
  if (Predicate.isString(choice["text"])) return choice["text"]
  const said = record(choice["delta"] ?? choice["message"])
  const calls = said["tool_calls"]
  const called = Array.isArray(calls) ? JSON.stringify(calls) : ""
  const thought = textOf(said["reasoning_content"]) || textOf(said["reasoning"])
  return textOf(said["content"]) + thought + called
}

const idsOf = (choice: Readonly<Record<string, unknown>>): ReadonlyArray<number> => {
  const ids = choice["token_ids"]
  return Array.isArray(ids) && ids.every(Number.isInteger) ? ids : []
}

export class Answer {
  failure: Failure | null = null
  detail = ""
  promptTokens = 0
  /** As the server counted them; null where it did not say. */
  usageTokens: number | null = null
  contentPieces = 0
  idTokens = 0
  private finished = false
  private done = false
  private bodyBytes = 0
  private readonly body: Array<Buffer> = []
  private readonly sse: SseReader | null
  private readonly watcher: AnswerWatcher

  constructor(stream: boolean, watcher: AnswerWatcher) {
    this.watcher = watcher
    this.sse = stream ? new SseReader((data, name) => this.event(data, name)) : null
  }

  get outputTokens(): number {
    return this.usageTokens ?? (this.idTokens > 0 ? this.idTokens : this.contentPieces)
  }

  /** A stream says in some way that it is over; what ends without was cut. */
  get isOver(): boolean {
    return this.done || (this.finished && this.sse === null)
  }

  feed(bytes: Buffer): void {
    if (this.failure !== null) return
    if (this.sse !== null) {
      this.sse.feed(bytes)
      if (this.sse.oversized) this.fail("oversized", "an event is longer than 4 Mi characters")
      return
    }
    this.bodyBytes += bytes.length
    if (this.bodyBytes > bodyBytesMax) return this.fail("oversized", "a body of over 16 MiB")
    this.body.push(Buffer.from(bytes))
  }

  /** The response has ended as HTTP has it. */
  end(): void {
    if (this.failure !== null) return
    if (this.sse === null) {
      this.chunk(Buffer.concat(this.body).toString("utf8"))
      this.finished = true
    } else if (!this.done && !this.finished) {
      const cut = this.sse.isMidEvent ? "in the middle of an event" : "before its last event"
      this.fail("closedEarly", `the stream ended ${cut}`)
    }
  }

  fail(failure: Failure, detail: string): void {
    this.failure ??= failure
    if (this.detail === "") this.detail = detail
  }

  private event(data: string, name: string): void {
    if (this.failure !== null || this.done) return
    if (data === "[DONE]") this.done = true
    else if (name === "error") this.fail("errorEvent", data)
    else this.chunk(data)
  }

  private chunk(text: string): void {
    const value = parse(text)
    if (!Predicate.isObject(value) || Array.isArray(value)) {
      return this.fail("malformed", `no JSON object: ${text.slice(0, shownMax)}`)
    }
    const chunk = record(value)
    if (chunk["error"] !== undefined && chunk["error"] !== null) {
      return this.fail("errorEvent", JSON.stringify(chunk["error"]))
    }
    const { choices } = chunk
    if (choices !== undefined && !Array.isArray(choices)) {
      return this.fail("malformed", "choices is no array")
    }
    const usage = chunk["usage"]
    if (Predicate.isObject(usage)) {
      const counts = record(usage)
      this.promptTokens = wholeOr(counts["prompt_tokens"], this.promptTokens)
      this.usageTokens = wholeOr(counts["completion_tokens"], 0)
    }
    for (const choice of choices ?? []) this.choice(record(choice))
  }

  private choice(choice: Readonly<Record<string, unknown>>): void {
    const text = contentOf(choice)
    const ids = idsOf(choice)
    if (typeof choice["finish_reason"] === "string") this.finished = true
    if (text === "" && ids.length === 0) return
    this.contentPieces++
    this.idTokens += ids.length
    this.watcher.onContent(ids.length)
    this.watcher.onPiece?.({ choice: wholeOr(choice["index"], 0), text, ids })
  }
}
