// Tails the token log once a process and gives each subscriber its request's events, from any cursor.
// A subscriber sees a prefix of the fold: nothing lost, repeated or reordered. A slow one is paused and
// later reads the log from where it stood; it holds back nobody else.
import { Context, type Effect, Schema } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import type { RequestEvent } from "../../streams/fold/requestState.ts"
import type { LogError } from "../../streams/Log.ts"

export class RelayError extends Schema.TaggedError<RelayError>()("RelayError", {
  /** gone: retention has passed it. cursorAhead: the cursor is past the events there are. */
  reason: Schema.Literals(["unknownRequest", "gone", "cursorAhead", "tooManySubscribers"]),
  message: Schema.String,
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

/** A request as the logs know it now. */
export interface RequestView {
  readonly request: RequestAccepted
  readonly state: "queued" | "running" | "finished" | "failed" | "cancelled" | "expired" | "deadLettered"
  readonly attempt: number
  /** Events so far: the highest cursor. */
  readonly events: number
  /** Text so far, a choice. */
  readonly texts: ReadonlyArray<string>
  readonly finishes: ReadonlyArray<"stop" | "length" | null>
  readonly completionTokens: number
}

export class Relay extends Context.Service<
  Relay,
  {
    /**
     * For the gateway that is about to append the request: live from the log's end, no history read.
     * Call before the append; the subscription stays silent until events arrive.
     */
    readonly subscribeNew: (requestId: string, subscriber: Subscriber) => Subscription
    /** For a resuming client: history after `cursor` from the log, then live. */
    readonly subscribe: (
      requestId: string,
      cursor: number,
      subscriber: Subscriber,
    ) => Effect.Effect<Subscription, RelayError | LogError>
    /** The request record, from memory or from the request log. */
    readonly find: (requestId: string) => Effect.Effect<RequestAccepted, RelayError | LogError>
    readonly view: (requestId: string) => Effect.Effect<RequestView, RelayError | LogError>
    /** Tells the relay of a request accepted here, so that find needs no log read while it is recent. */
    readonly remember: (request: RequestAccepted) => void
  }
>()("sluice/relay/Relay") {}

