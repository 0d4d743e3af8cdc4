// Text to ids and back for one model folder: tokenizer.json by @huggingface/tokenizers, chat
// template by @huggingface/jinja, and our own exact incremental decode.
import { Context, type Effect, Schema } from "effect"
import type { ToolFormat } from "./toolFormat.ts"

export class TokenizerError extends Schema.TaggedError<TokenizerError>()("TokenizerError", {
  /**
   * unsupported, damaged: the model folder's, found at start. tooLong: so many characters that no
   * encoding of them can fit the model's context. notEncodable: this text broke the encoder. busy:
   * too many long texts wait for the encoding thread; it may be tried again.
   */
  reason: Schema.Literals([
    "unsupported",
    "damaged",
    "noChatTemplate",
    "templateFailed",
    "tooLong",
    "notEncodable",
    "busy",
  ]),
  message: Schema.String,
  /** How long until it may be tried again, as measured; absent where that cannot help. */
  retryAfterMs: Schema.optionalKey(Schema.Number),
  /** What was asked, used and allowed, by name: for the client to see. */
  numbers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Number)),
}) {}

export interface ChatMessage {
  readonly role: string
  /** null beside tool calls */
  readonly content: string | null
  readonly [field: string]: unknown
}

export interface RenderOptions {
  readonly addGenerationPrompt: boolean
  readonly tools: ReadonlyArray<unknown> | null
  /** Further template variables (chat_template_kwargs). */
  readonly variables: Readonly<Record<string, unknown>>
}

/** What generation_config.json recommends; null where it says nothing. */
export interface GenerationDefaults {
  readonly temperature: number | null
  readonly topP: number | null
  readonly topK: number | null
  readonly minP: number | null
  readonly repetitionPenalty: number | null
  readonly maxTokens: number | null
}

/** What one model folder's files say; plain data and synchronous functions. */
export interface TokenizerModel {
  readonly vocabSize: number
  readonly bosId: number | null
  readonly eosIds: ReadonlyArray<number>
  readonly specialIds: ReadonlySet<number>
  /**
   * The bytes that each id stands for; special tokens have their text's bytes. Empty for unknown
   * ids.
   */
  readonly tokenBytes: (id: number) => Uint8Array
  /** The token as OpenAI's logprobs show it: its text, or "bytes:\\x.." where it is no UTF-8. */
  readonly tokenText: (id: number) => string
  /** True where the first token's leading space is dropped (sentencepiece-style decoders). */
  readonly stripsLeadingSpace: boolean
}

export class Tokenizer extends Context.Service<
  Tokenizer,
  {
    readonly model: TokenizerModel
    /** Texts above a bound are encoded on a worker thread, so the event loop is not held. */
    readonly encode: (
      text: string,
      addSpecialTokens: boolean,
    ) => Effect.Effect<ReadonlyArray<number>, TokenizerError>
    /** Bytes as they are: clean_up_tokenization_spaces is not applied, as no streaming could. */
    readonly decode: (ids: ReadonlyArray<number>, skipSpecialTokens: boolean) => string
    readonly renderChat: (
      messages: ReadonlyArray<ChatMessage>,
      options: RenderOptions,
    ) => Effect.Effect<string, TokenizerError>
    readonly hasChatTemplate: boolean
    readonly toolFormat: ToolFormat
    readonly generationDefaults: GenerationDefaults
  }
>()("sluice/tokenizer/Tokenizer") {}
