// Tails the token log once a process and gives each subscriber its request's events, from any
// cursor. A subscriber sees a prefix of the fold: nothing lost, repeated or reordered. A slow one
// is paused and later reads the log from where it stood; it holds back nobody else.
import { Context, type Effect, Schema } from "effect"
import type { RequestAccepted, TokenFrame, TokenLogprob } from "../../schemas/types.ts"
import type { RequestEvent, TerminalEvent } from "../../streams/fold/requestState.ts"
import type { ChatWanted } from "../../streams/findChat.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"

export class RelayError extends Schema.TaggedError<RelayError>()("RelayError", {
  /** gone: retention has passed it. cursorAhead: the cursor is past the events there are. */
  reason: Schema.Literals(["unknownRequest", "gone", "cursorAhead", "tooManySubscribers"]),
  message: Schema.String,
  /** How long until it may be tried again, as measured; absent where that cannot help. */
  retryAfterMs: Schema.optionalKey(Schema.Number),
  /** What was asked, used and allowed, by name: for the client to see. */
  numbers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Number)),
}) {}

export interface Subscriber {
  /**
   * Events in order, each once, all numbered above the cursor. Returns false when the subscriber's
   * buffer is full: nothing more is given until `resume`.
   */
  readonly onEvents: (events: ReadonlyArray<RequestEvent>) => boolean
  /** The subscription cannot go on (retention overtook it, the log failed). Nothing follows. */
  readonly onError: (error: RelayError | LogError) => void
}

export interface Subscription {
  /** The subscriber can take more. */
  readonly resume: () => void
  /** Idempotent; nothing is delivered after it. */
  readonly close: () => void
}

/** A token with its log probability, where the request asked for them. */
export interface ScoredToken {
  readonly id: number
  readonly logprob: TokenLogprob
}

/** For whoever shows what passes; it costs the relay's time, so it must be quick. */
export interface RelayWatcher {
  readonly accepted: (request: RequestAccepted) => void
  readonly frames: (frames: ReadonlyArray<ReadRecord<TokenFrame>>) => void
}

/** A request as the logs know it now. */
export interface RequestView {
  readonly request: RequestAccepted
  readonly state:
    "queued" | "running" | "finished" | "failed" | "cancelled" | "expired" | "deadLettered"
  readonly attempt: number
  /** Events so far, the terminal one too: the highest cursor. */
  readonly events: number
  /** Text so far, a choice. */
  readonly texts: ReadonlyArray<string>
  /** Of the first choice. */
  readonly scored: ReadonlyArray<ScoredToken>
  readonly finishes: ReadonlyArray<"stop" | "length" | null>
  readonly completionTokens: number
  /** null while it runs. */
  readonly terminal: TerminalEvent | null
}

export class Relay extends Context.Service<
  Relay,
  {
    /**
     * For the gateway that is about to append the request: live from the log's end, no history
     * read. Call before the append; the subscription stays silent until events arrive. Over the
     * bound on subscribers `onError` is called before this returns.
     */
    readonly subscribeNew: (requestId: string, subscriber: Subscriber) => Subscription
    /**
     * For a resuming client: history after `cursor` from the log, then live. Succeeds once the
     * history was given (or the subscriber is full); events come before and after that. A cursor at
     * the terminal event is silent for good.
     */
    readonly subscribe: (
      requestId: string,
      cursor: number,
      subscriber: Subscriber,
    ) => Effect.Effect<Subscription, RelayError | LogError>
    /**
     * The listener is told of every request that ends, whether anybody here follows it or not, some
     * perhaps twice: for whoever keeps count of what is outstanding.
     */
    readonly onEnded: (listener: (requestId: string) => void) => void
    /** The listener is told of every request that is remembered, and of every frame of the log. */
    readonly watch: (watcher: RelayWatcher) => void
    /**
     * Fails when the token log cannot be followed any more: nobody gets a token, the process should
     * end.
     */
    readonly lost: Effect.Effect<never, LogError>
    /** The request record, from memory or from the request log. */
    readonly find: (requestId: string) => Effect.Effect<RequestAccepted, RelayError | LogError>
    /** The newest request of a chat, from the request log; null: none since the time given. */
    readonly findChat: (wanted: ChatWanted) => Effect.Effect<RequestAccepted | null, LogError>
    readonly view: (requestId: string) => Effect.Effect<RequestView, RelayError | LogError>
    /**
     * Tells the relay of a request accepted here, so that find needs no log read while it is
     * recent.
     */
    readonly remember: (request: RequestAccepted) => void
  }
>()("sluice/relay/Relay") {}
