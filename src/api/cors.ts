// Cross-origin calls from browsers: off unless origins are configured, and then for those only.
// Keys travel in a header, never in cookies, so credentials are not allowed.
import type { IncomingMessage, ServerResponse } from "node:http"
import type { ConfigShape } from "../config/Config.ts"
import type { Exchange } from "./answer/Exchange.ts"
import { allowsOrigin } from "./exposure.ts"

const exposed = [
  "x-request-id",
  "retry-after",
  "x-should-retry",
  "stream-next-offset",
  "stream-up-to-date",
  "stream-closed",
  "stream-cursor",
  "idempotent-replayed",
  "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-reset-requests",
].join(", ")

const preflightSecondsMax = 600

export const isPreflight = (req: IncomingMessage): boolean =>
  req.method === "OPTIONS" &&
  req.headers.origin !== undefined &&
  req.headers["access-control-request-method"] !== undefined

/** Whatever the answer will be: a browser must be able to read errors too. */
export const writeCorsHeaders = ({ req, res }: Exchange, config: ConfigShape): void => {
  const { origin } = req.headers
  if (config.corsOrigins.length === 0 || origin === undefined) return
  res.setHeader("vary", "origin")
  if (!allowsOrigin(origin, config)) return
  res.setHeader("access-control-allow-origin", origin)
  res.setHeader("access-control-expose-headers", exposed)
}

/** A browser's question before a call; asked only of origins that checkCaller let pass. */
export const answerPreflight = (res: ServerResponse, req: IncomingMessage): void => {
  res.writeHead(204, {
    "access-control-allow-methods": "GET, POST, DELETE",
    // What it asks for is allowed: no header gives a caller more than it has without.
    "access-control-allow-headers": req.headers["access-control-request-headers"] ?? "",
    "access-control-max-age": String(preflightSecondsMax),
  })
  res.end()
}
