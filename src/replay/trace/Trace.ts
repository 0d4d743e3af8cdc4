// What a trace is, whatever file it came from: requests in the order of their arrival, each with
// what is known of it. A format that does not say a thing leaves null; nothing here guesses.
import { Schema } from "effect"

export interface Message {
  readonly role: string
  readonly content: string
}

export type TracePrompt =
  | { readonly kind: "text"; readonly text: string }
  /** One array a prompt, as a request of several prompts has. */
  | { readonly kind: "ids"; readonly prompts: ReadonlyArray<ReadonlyArray<number>> }
  | { readonly kind: "messages"; readonly messages: ReadonlyArray<Message> }

/** Equal hashes are equal blocks; two prompts share what their hashes share at the front. */
export interface PrefixBlocks {
  /** Of each block but the last, which may be shorter. */
  readonly tokens: number
  readonly hashes: ReadonlyArray<string>
}

export interface RecordedChoice {
  readonly ids: ReadonlyArray<number>
  readonly text: string
  readonly finish: string | null
}

/** What a request was answered with when it was recorded; times from its acceptance. */
export interface RecordedAnswer {
  readonly outcome: string
  /** Empty in a redacted record. */
  readonly choices: ReadonlyArray<RecordedChoice>
  readonly ttftMs: number | null
  readonly e2eMs: number | null
  /** When tokens were written, as [ms, how many] of each frame. */
  readonly frames: ReadonlyArray<readonly [atMs: number, tokens: number]>
}

export interface TraceRequest {
  /** Since the first request of the trace; null where the format has no times. */
  readonly atMs: number | null
  readonly promptTokens: number | null
  readonly outputTokens: number | null
  readonly blocks: PrefixBlocks | null
  readonly prompt: TracePrompt | null
  /** Fields of a request's body, as OpenAI and vLLM name them; null where none are recorded. */
  readonly params: Readonly<Record<string, unknown>> | null
  readonly answer: RecordedAnswer | null
  readonly id: string | null
}

export const bareRequest: TraceRequest = {
  atMs: null,
  promptTokens: null,
  outputTokens: null,
  blocks: null,
  prompt: null,
  params: null,
  answer: null,
  id: null,
}

export const formats = [
  "sluice",
  "mooncake",
  "azure",
  "burstgpt",
  "vllm",
  "sharegpt",
  "prompts",
] as const

export type Format = (typeof formats)[number]

/** Why a file is no trace, and where: the line is 1-based, 0 where no line is meant. */
export class TraceError extends Schema.TaggedError<TraceError>()("TraceError", {
  reason: Schema.Literals([
    "unreadable",
    "unknownFormat",
    "empty",
    "lineTooLong",
    "notJson",
    "missing",
    "wrongValue",
    "timeGoesBack",
    "cutOff",
  ]),
  file: Schema.String,
  line: Schema.Int,
  detail: Schema.String,
}) {
  override get message(): string {
    const place = this.line === 0 ? this.file : `${this.file}:${this.line}`
    return `${place}: ${this.detail}`
  }
}

export interface Place {
  readonly file: string
  readonly line: number
}

/** One of a trace: pulled, so that a trace of any length takes the memory of a few requests. */
export interface TraceReader {
  /** null at the end; after an error nothing more comes. */
  readonly next: () => TraceRequest | TraceError | null
  readonly close: () => void
}
