// The way in to WS /v1/stream: node's upgrade event, let in by the rules of every call. A refusal
// is an HTTP answer on the raw socket; what follows the handshake belongs to answer/Sockets.ts.
import type { IncomingMessage } from "node:http"
import { STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { Effect } from "effect"
import type { Call } from "./Call.ts"
import { apiError, type Failure, toHttp } from "./errors.ts"

const streamPath = "/v1/stream"

export const pathOf = (url: string | undefined): string => (url ?? "/").split("?", 1)[0] ?? "/"

/**
 * Anything else that asks for another protocol (h2c, as curl and Java do) is an ordinary request.
 */
export const isSocketRequest = (req: IncomingMessage): boolean =>
  pathOf(req.url) === streamPath && req.headers.upgrade?.toLowerCase() === "websocket"

/** GET /v1/stream without an upgrade. */
export const refusePlainStream = (call: Call): Effect.Effect<never, Failure> => {
  call.exchange.res.setHeader("upgrade", "websocket")
  return Effect.fail(
    apiError("upgradeRequired", `${streamPath} is a WebSocket: connect with ws://.`),
  )
}

/**
 * The failure as an HTTP answer where node has no response object: refused handshakes, broken HTTP.
 */
export const writeRawError = (socket: Duplex, failure: Failure): void => {
  if (!socket.writable) return void socket.destroy()
  const { status, headers, body } = toHttp(failure)
  const lines = Object.entries({ ...headers, connection: "close" }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  const first = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\n`
  socket.end(`${first}${lines.join("")}\r\n${body}`)
}
