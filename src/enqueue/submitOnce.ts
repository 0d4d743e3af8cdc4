// Requests under an idempotency key: the same key and body are one request, whichever gateways they
// come to. A gateway claims the key for the request that it is about to append, and the key log's
// order says whose request it is. The loser looks for the winner's record and answers with that.
//
//   claim ──▶ own ──────────────▶ append
//         └─▶ another's ─▶ found ─▶ that one
//                       └▶ not there: its gateway died between claim and append, or is slow
//                              ├─ young: append it for the other, under the same id: one run, since
//                              │         records of one id are one request to every worker
//                              └─ old:   settle it in the token log, so that it can never run, and
//                                        claim the key in its place
import { Clock, Effect } from "effect"
import type { RequestAccepted } from "../../schemas/types.ts"
import type { FoundRequest } from "../../streams/findRequest.ts"
import type { KeyHolder } from "../../streams/fold/keyHolders.ts"
import type { LogError } from "../../streams/Log.ts"
import { requestTime } from "../../streams/requestId.ts"
import type { RequestPlace } from "../../streams/RequestLog.ts"
import { EnqueueError, type RequestDraft } from "./Enqueue.ts"
import type { Idempotency, Keys } from "./keys.ts"

/** A claim that is older is not helped: its record would not be found where its id says. */
const helpMsMax = 20_000
/** How long a claim's own gateway gets to append, in steps that double. */
const patienceMs = [10, 20, 40, 80, 160]
/** Each round ends with a holder that is dead; so many dead ones in a row are no accident. */
const roundsMax = 4

/** Admitted, placed, and not yet appended. */
export interface Ready {
  readonly request: RequestAccepted
  readonly place: RequestPlace
}

export interface OnceParts {
  readonly keys: Keys
  /** Where every gateway appends the draft's request. */
  readonly findAtHome: (
    draft: RequestDraft,
    requestId: string,
  ) => Effect.Effect<FoundRequest, LogError>
  /** Anywhere: under a version that was current once, or by somebody else. Far slower. */
  readonly find: (requestId: string) => Effect.Effect<FoundRequest, LogError>
  /** At its home partition and with its id's time, so that two gateways would make it alike. */
  readonly prepare: (
    draft: RequestDraft,
    requestId: string,
  ) => Effect.Effect<Ready, EnqueueError | LogError>
  readonly append: (ready: Ready) => Effect.Effect<RequestAccepted, LogError>
  /** Gives back what `prepare` held. */
  readonly forget: (requestId: string) => void
  /** Whatever is appended under the id from now on ends at once. */
  readonly settle: (requestId: string) => Effect.Effect<void, LogError>
  readonly deadlineOf: (draft: RequestDraft, acceptedAt: number) => number
}

const refuse = (reason: EnqueueError["reason"], message: string, retryAfterMs = 0) =>
  new EnqueueError({ reason, message, retryAfterMs })

const keyReused = () =>
  refuse("keyReused", "This Idempotency-Key was used for another request; use a new one.")

const keyGone = () =>
  refuse("keyGone", "The request of this Idempotency-Key is older than what the log still holds.")

const keysFull = (retryAfterMs: number, keysMax: number) =>
  new EnqueueError({
    reason: "keysFull",
    message: "The server remembers as many Idempotency-Keys as it may.",
    retryAfterMs,
    numbers: { keys_max: keysMax },
  })

const keyLost = () => refuse("busy", "The Idempotency-Key keeps changing hands; try again.", 1_000)

const unconfirmed = () => {
  const message = "The log did not confirm the request; ask again under the same Idempotency-Key."
  return refuse("unconfirmed", message, 1_000)
}

/** Whatever the log leaves open, the key settles when it is asked under again. */
export const submitOnce = (parts: OnceParts, draft: RequestDraft, idempotency: Idempotency) =>
  submitUnder(parts, draft, idempotency).pipe(
    Effect.catch((error) =>
      Effect.fail(
        error._tag === "LogError" && error.reason === "unknownOutcome" ? unconfirmed() : error,
      ),
    ),
  )

const submitUnder = Effect.fnUntraced(function* (
  parts: OnceParts,
  draft: RequestDraft,
  { key: keyDigest, body: bodyDigest }: Idempotency,
): Effect.fn.Return<RequestAccepted, EnqueueError | LogError> {
  const { keys, find, findAtHome, prepare, append, forget, settle, deadlineOf } = parts
  const { requestId } = draft

  /** The request, where the claim counted; else who holds the key. */
  const claimAnew = Effect.fnUntraced(function* (replaces: string | null) {
    const fullForMs = keys.fullForMs(yield* Clock.currentTimeMillis)
    if (fullForMs > 0) return yield* keysFull(fullForMs, keys.keysMax)
    const ready = yield* prepare(draft, requestId)
    const holder = yield* keys
      .claim({ keyDigest, bodyDigest, requestId, replaces })
      .pipe(Effect.onError(() => Effect.sync(() => forget(requestId))))
    // Who comes too late may be taken for dead by others: it leaves the key to them.
    const isLate = Effect.map(
      Clock.currentTimeMillis,
      (now) => now - requestTime(requestId) >= helpMsMax,
    )
    if (holder.requestId === requestId && !(yield* isLate)) {
      const appended = yield* append(ready)
      if (!(yield* isLate)) return appended
      // It stood still before its append, and may have been replaced meanwhile: the log knows.
      return yield* keys.claim({ keyDigest, bodyDigest, requestId, replaces: null })
    }
    forget(requestId)
    return holder.requestId === requestId ? yield* unconfirmed() : holder
  })

  const awaitRecord = Effect.fnUntraced(function* (holder: KeyHolder) {
    let found = yield* findAtHome(draft, holder.requestId)
    for (const waitMs of patienceMs) {
      const ageMs = (yield* Clock.currentTimeMillis) - holder.claimedAt
      if (found !== "unknown" || ageMs > helpMsMax) break
      yield* Effect.sleep(waitMs)
      found = yield* findAtHome(draft, holder.requestId)
    }
    return found === "unknown" ? yield* find(holder.requestId) : found
  })

  let replaces: string | null = null
  for (let round = 0; round < roundsMax; round++) {
    const known: KeyHolder | null = keys.holder(keyDigest, yield* Clock.currentTimeMillis)
    const outcome: KeyHolder | RequestAccepted =
      known !== null && known.requestId !== replaces ? known : yield* claimAnew(replaces)
    if (!("claimedAt" in outcome)) return outcome
    if (outcome.bodyDigest !== bodyDigest) return yield* keyReused()
    const found = yield* awaitRecord(outcome)
    if (found === "gone") return yield* keyGone()
    if (found !== "unknown") return found
    const since = requestTime(outcome.requestId)
    const now = yield* Clock.currentTimeMillis
    if (now - since < helpMsMax && now < deadlineOf(draft, since)) {
      return yield* append(yield* prepare(draft, outcome.requestId))
    }
    yield* settle(outcome.requestId)
    const late = yield* find(outcome.requestId)
    if (typeof late === "object") return late
    replaces = outcome.requestId
  }
  return yield* keyLost()
})
