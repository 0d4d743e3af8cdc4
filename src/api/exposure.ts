// Who may reach a server that asks for no key: processes on this machine, and nobody else unless
// the operator said so. A web page open in a browser here is somebody else: it can make the browser
// call any address, and a name it owns can be made to mean this machine. So callers from foreign
// origins, and under foreign host names, are refused.
import type { IncomingHttpHeaders } from "node:http"
import { isIPv4 } from "node:net"
import { Effect } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { apiError, type ApiError } from "./errors.ts"

/** The host of "localhost:8000" or "[::1]:8000". */
const hostName = (authority: string): string =>
  authority.startsWith("[")
    ? authority.slice(1, authority.indexOf("]"))
    : authority.replace(/:\d*$/, "")

const isLoopback = (host: string): boolean => {
  const name = host.toLowerCase().replace(/\.$/, "")
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "::1" ||
    (isIPv4(name) && name.startsWith("127."))
  )
}

type Exposure = Pick<ConfigShape, "host" | "apiKeys" | "insecure" | "corsOrigins">

/** Why the server must not start on this address; null where it may. */
export const exposureFault = (config: Exposure): string | null =>
  isLoopback(config.host) || config.apiKeys.length > 0 || config.insecure
    ? null
    : `Refused to serve on ${config.host} without API keys: anyone who reaches it could use it. ` +
      "Set apiKeys in sluice.yaml, serve on 127.0.0.1, or say --insecure."

export const allowsOrigin = (origin: string, config: Exposure): boolean =>
  config.corsOrigins.includes(origin) || config.corsOrigins.includes("*")

const originHost = (origin: string): string | null =>
  URL.canParse(origin) ? new URL(origin).host : null

/** Checks who a browser says it calls for; programs send no Origin and pass. */
export const checkCaller = (
  headers: IncomingHttpHeaders,
  config: Exposure,
): Effect.Effect<void, ApiError> => {
  const { host, origin } = headers
  const open = config.apiKeys.length === 0 && !config.insecure
  if (open && host !== undefined && !isLoopback(hostName(host))) {
    const message =
      "Without API keys this server answers only to the names of its own machine, as localhost."
    return Effect.fail(apiError("forbidden", message))
  }
  if (origin === undefined || allowsOrigin(origin, config) || originHost(origin) === host) {
    return Effect.void
  }
  const message = "This origin is not allowed; corsOrigins in sluice.yaml lists those that are."
  return Effect.fail(apiError("forbidden", message))
}
