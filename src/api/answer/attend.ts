// The order in which a new request gets its answer: subscribe, submit, and only then open the
// answer, so that no token is missed and no success byte leaves before the request is durable. Also
// what a client's leaving means: the answer ends, the request goes on unless it asked to be
// cancelled. A draft under an idempotency key may turn out to be an earlier request: then that one
// is answered, from its start.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { Enqueue, type RequestDraft } from "../../enqueue/Enqueue.ts"
import { Relay, type Subscriber, type Subscription } from "../../relay/Relay.ts"
import type { Failure } from "../errors.ts"
import type { AnswerEnd } from "./StreamAnswer.ts"

export interface Attending extends Subscriber {
  /** Of the subscriptions that it is given, the last counts. */
  readonly attach: (subscription: Subscription) => void
  /** Why there is no subscription: then nothing is submitted. */
  readonly refused: Failure | null
  readonly ended: Effect.Effect<AnswerEnd, Failure>
  /** Closes the subscription too. */
  readonly close: () => void
}

/**
 * Succeeds with the answer's end. A submit that has begun is not interrupted: its outcome must be
 * known to say whether there is a request to cancel.
 */
export const attend = Effect.fnUntraced(function* (
  draft: RequestDraft,
  answering: Attending,
  open: (request: RequestAccepted) => void,
): Effect.fn.Return<AnswerEnd, Failure, Relay | Enqueue> {
  const relay = yield* Relay
  const enqueue = yield* Enqueue
  return yield* Effect.uninterruptibleMask((restore) => {
    const subscription = relay.subscribeNew(draft.requestId, answering)
    answering.attach(subscription)
    return Effect.gen(function* () {
      if (answering.refused !== null) return yield* answering.refused
      const request = yield* enqueue.submit(draft)
      const { requestId } = request
      const left = draft.answer.cancelOnDisconnect
        ? Effect.ignore(enqueue.cancel(requestId, "disconnect"))
        : Effect.void
      relay.remember(request)
      if (requestId !== draft.requestId) {
        subscription.close()
        answering.attach(yield* relay.subscribe(requestId, 0, answering))
      }
      open(request)
      const end = yield* restore(answering.ended).pipe(Effect.onInterrupt(() => left))
      if (end.outcome === "gone") yield* left
      return end
    }).pipe(Effect.ensuring(Effect.sync(() => answering.close())))
  })
})
