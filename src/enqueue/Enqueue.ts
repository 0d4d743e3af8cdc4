// Decides where a request goes and whether it may: model version, tier, deadline, partition,
// admission by tokens outstanding against the measured rate. Success means that RequestAccepted is
// durable.
import { Context, type Effect, Schema } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import type { LogError } from "../../streams/Log.ts"
import type { Idempotency } from "./keys.ts"

export class EnqueueError extends Schema.TaggedError<EnqueueError>()("EnqueueError", {
  /**
   * busy: the backlog cannot meet the deadline. tooLong: prompt and output exceed the model.
   * keyReused, keyGone, keysFull: the idempotency key is another body's, its request is older than
   * the log, or no more keys can be remembered. unconfirmed: whether the request was accepted is
   * not known, but under its key it may be asked for again.
   */
  reason: Schema.Literals([
    "unknownModel",
    "busy",
    "tooLong",
    "noWorkers",
    "draining",
    "keyReused",
    "keyGone",
    "keysFull",
    "unconfirmed",
  ]),
  message: Schema.String,
  /**
   * How long until it may be tried again, from the measured drain rate; 0 where that cannot help.
   */
  retryAfterMs: Schema.Number,
  /** What was asked, used and allowed, by name: for the client to see. */
  numbers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Number)),
}) {}

/** A request before admission: what the API parsed, tokenised and authenticated. */
export type RequestDraft = Omit<RequestAccepted, "acceptedAt" | "version" | "deadline"> & {
  /** ms from now; null: the configured default. */
  readonly timeoutMs: number | null
  /** Under which key the client may ask again; null: each time is a request of its own. */
  readonly idempotency: Idempotency | null
}

export class Enqueue extends Context.Service<
  Enqueue,
  {
    /**
     * Durable when it succeeds. Under an idempotency key it may be an earlier request, with another
     * id than the draft's.
     */
    readonly submit: (
      draft: RequestDraft,
    ) => Effect.Effect<RequestAccepted, EnqueueError | LogError>
    /**
     * Appends Cancelled and tells the workers; acknowledged once the entry is durable. Idempotent.
     */
    readonly cancel: (requestId: string, by: string) => Effect.Effect<void, LogError>
    /**
     * A request ended: what it held of the admission's bounds is free. Whoever composes a gateway
     * wires it once to Relay.onEnded; ids of other gateways and repetitions change nothing.
     */
    readonly ended: (requestId: string) => void
  }
>()("sluice/enqueue/Enqueue") {}
