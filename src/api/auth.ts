// Whose request it is. With keys configured every caller needs one; keys are compared as digests in
// constant time, so that neither a key's beginning nor its length can be found by timing. Without
// keys all callers are one tenant, named "".
import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingHttpHeaders } from "node:http"
import { Effect, Result } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { isDigest } from "../config/live.ts"
import { apiError, type ApiError } from "./errors.ts"
import type { Rate } from "./rate/tokenBucket.ts"

export interface Identity {
  readonly tenant: string
  readonly rate: Rate
  /** Its requests' deadline where they name none; null: the general one. */
  readonly timeoutMs: number | null
}

export type Authenticate = (headers: IncomingHttpHeaders) => Effect.Effect<Identity, ApiError>

const digest = (key: string): Buffer => createHash("sha256").update(key).digest()

/** As configured: the key itself, or its digest already. */
const digestOf = (key: string): Buffer =>
  isDigest(key) ? Buffer.from(key.slice("sha256:".length), "hex") : digest(key)

const bearerOf = (header: string | undefined): string | null =>
  /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1] ?? null

/** As a browser gives it, which lets no header go with a WebSocket: among the subprotocols. */
const offeredOf = (header: string | undefined): string | null => {
  const [, escaped] = /(?:^|,) *sluice-key\.([^ ,]+) *(?:,|$)/.exec(header ?? "") ?? []
  if (escaped === undefined) return null
  return Result.getOrElse(
    Result.try(() => decodeURIComponent(escaped)),
    () => null,
  )
}

const refuse = (message: string) => Effect.fail(apiError("unauthenticated", message))

const everyone = (rate: Rate): Authenticate => {
  const identity = Effect.succeed({ tenant: "", rate, timeoutMs: null })
  return () => identity
}

const byKey = ({ apiKeys, rate }: Pick<ConfigShape, "apiKeys" | "rate">): Authenticate => {
  const known = apiKeys.map((key) => ({
    digest: digestOf(key.key),
    identity: {
      tenant: key.tenant,
      rate: {
        requestsPerSecond: key.requestsPerSecond ?? rate.requestsPerSecond,
        burst: key.burst ?? rate.burst,
      },
      timeoutMs: key.requestTimeoutMs ?? null,
    },
  }))
  return (headers) => {
    const key = bearerOf(headers.authorization) ?? offeredOf(headers["sec-websocket-protocol"])
    if (key === null) {
      return refuse("An API key is needed: send it as Authorization: Bearer <key>.")
    }
    const given = digest(key)
    // Every key is looked at, found or not.
    let found: Identity | null = null
    for (const entry of known) if (timingSafeEqual(entry.digest, given)) found = entry.identity
    return found === null ? refuse("This API key is not known here.") : Effect.succeed(found)
  }
}

/** By the keys and rates that the configuration has at the time: they may change. */
export const authenticator = (config: Pick<ConfigShape, "apiKeys" | "rate">): Authenticate => {
  let { apiKeys, rate } = config
  const make = () => (apiKeys.length === 0 ? everyone(rate) : byKey({ apiKeys, rate }))
  let authenticate = make()
  return (headers) => {
    if (config.apiKeys !== apiKeys || config.rate !== rate) {
      ;({ apiKeys, rate } = config)
      authenticate = make()
    }
    return authenticate(headers)
  }
}
