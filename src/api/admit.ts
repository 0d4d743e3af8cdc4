// Lets a caller in: from where, whose key, how often. Order matters: what costs least and tells
// least comes first, and an unknown key takes no token from anybody's bucket.
import type { IncomingHttpHeaders } from "node:http"
import { Effect } from "effect"
import type { Authenticate, Identity } from "./auth.ts"
import { apiError, type ApiError } from "./errors.ts"

import type { RateDecision } from "./rate/tokenBucket.ts"
import type { RateLimit } from "./RateLimit.ts"

/** OpenAI's form of a duration: "17ms", "1.5s". */
const durationText = (ms: number): string => (ms < 1000 ? `${ms}ms` : `${ms / 1000}s`)

export const rateHeaders = (decision: RateDecision): ReadonlyArray<readonly [string, string]> => [
  ["x-ratelimit-limit-requests", String(decision.limit)],
  ["x-ratelimit-remaining-requests", String(decision.remaining)],
  ["x-ratelimit-reset-requests", durationText(decision.resetMs)],
]

export const takeFrom = Effect.fnUntraced(function* (
  rateLimit: RateLimit["Service"],
  identity: Identity,
  tell: (decision: RateDecision) => void,
): Effect.fn.Return<void, ApiError> {
  const decision = yield* rateLimit.take(identity.tenant, identity.rate)
  tell(decision)
  if (decision.allowed) return
  const { requestsPerSecond, burst } = identity.rate
  const message =
    `Too many requests: ${requestsPerSecond} a second are allowed, ${burst} at once. ` +
    `Try again in ${durationText(decision.retryAfterMs)}.`
  return yield* apiError("rateLimited", message, {
    retryAfterMs: decision.retryAfterMs,
    numbers: { requests_per_second: requestsPerSecond, burst },
  })
})

export interface AdmitOptions {
  readonly authenticate: Authenticate
  readonly rateLimit: RateLimit["Service"]
  readonly tell: (decision: RateDecision) => void
}

export const admit = Effect.fnUntraced(function* (
  headers: IncomingHttpHeaders,
  options: AdmitOptions,
): Effect.fn.Return<Identity, ApiError> {
  const identity = yield* options.authenticate(headers)
  yield* takeFrom(options.rateLimit, identity, options.tell)
  return identity
})
