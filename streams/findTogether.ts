// Finding requests for many who ask at once: while one search runs, further askers wait, and the
// next search is for all of them. So a thousand askers cost a few readings of the log, not a
// thousand.
import { Deferred, Effect, Semaphore } from "effect"
import { findRequests, type FoundRequest } from "./findRequest.ts"
import type { Log, LogError } from "./Log.ts"

type Answer = Deferred.Deferred<FoundRequest, LogError>

export const makeFindTogether = (
  log: Log["Service"],
): ((requestId: string) => Effect.Effect<FoundRequest, LogError>) => {
  const oneAtATime = Semaphore.makeUnsafe(1)
  let waiting = new Map<string, Answer>()

  /** For all who wait now; each is answered, whoever of them leaves meanwhile. */
  const search = Effect.suspend(() => {
    const asked = waiting
    waiting = new Map()
    if (asked.size === 0) return Effect.void
    return Effect.matchCause(findRequests(log, [...asked.keys()]), {
      onFailure: (cause) => {
        for (const answer of asked.values()) Deferred.doneUnsafe(answer, Effect.failCause(cause))
      },
      onSuccess: (found) => {
        for (const [id, answer] of asked) {
          Deferred.doneUnsafe(answer, Effect.succeed(found.get(id) ?? "unknown"))
        }
      },
    })
  }).pipe(Effect.uninterruptible)

  return Effect.fnUntraced(function* (requestId) {
    const answer = waiting.get(requestId) ?? (yield* Deferred.make<FoundRequest, LogError>())
    waiting.set(requestId, answer)
    // Who asks in this turn of the event loop comes along.
    yield* oneAtATime.withPermit(Effect.andThen(Effect.yieldNow, search))
    return yield* Deferred.await(answer)
  })
}
