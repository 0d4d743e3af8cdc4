// What makes two calls the same: the Idempotency-Key under which a tenant asks, and all that it
// asked for, as digests. Bodies are compared by what they say, not by how their JSON is spaced or
// ordered.
import { createHash } from "node:crypto"
import { Effect, Predicate } from "effect"
import type { Idempotency } from "../enqueue/keys.ts"
import { apiError, type ApiError } from "./errors.ts"

const charactersMax = 255

/** 128 bits: nobody finds two that are equal. */
const digestDigits = 32

const digestOf = (...parts: ReadonlyArray<string>): string => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(`${part.length} `).update(part)
  return hash.digest("hex").slice(0, digestDigits)
}

/** Fields in one order, whatever the client's. Bodies nest no deeper than body.ts allows. */
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (!Predicate.isObject(value)) return value
  const entries = Object.entries(value).map(([name, part]) => [name, sorted(part)] as const)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

export interface Asked {
  readonly tenant: string
  /** The path: two dialects may read one body differently. */
  readonly route: string
  readonly body: unknown
}

/** `key` as the client gave it; none given: each call is its own. `param` names where it stands. */
export const idempotencyOf = (
  key: unknown,
  param: string,
  { tenant, route, body }: Asked,
): Effect.Effect<Idempotency | null, ApiError> => {
  if (key === undefined || key === null) return Effect.succeed(null)
  if (typeof key !== "string" || !/^[\x20-\x7e]+$/.test(key) || key.length > charactersMax) {
    const message = `${param} must be 1 to ${charactersMax} printable ASCII characters.`
    return Effect.fail(apiError("invalidValue", message, { param }))
  }
  return Effect.succeed({
    key: digestOf(tenant, key),
    body: digestOf(route, JSON.stringify(sorted(body)) ?? ""),
  })
}

interface Message {
  readonly idempotency_key?: unknown
  readonly id?: unknown
  readonly stream_id?: unknown
  readonly type?: unknown
}

/** Of a WebSocket's message; its names for key and request are no part of what it asks. */
export const messageIdempotency = (message: unknown, tenant: string, route: string) => {
  if (!Predicate.isObject(message)) return Effect.succeed(null)
  const asked: Message = { ...message }
  const { idempotency_key: key, id: _id, stream_id: _lane, type: _type, ...body } = asked
  return idempotencyOf(key, "idempotency_key", { tenant, route, body })
}
