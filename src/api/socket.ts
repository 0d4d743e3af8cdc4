// The way in to WebSockets: node's upgrade event, let in by the rules of every call. A refusal
// is an HTTP answer on the raw socket; what follows the handshake belongs to answer/Sockets.ts.
import type { IncomingMessage } from "node:http"
import { STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { Effect } from "effect"
import { responsesProtocol, type SocketProtocol, streamProtocol } from "./answer/socketProtocol.ts"
import type { Call } from "./Call.ts"
import { apiError, type Failure, toHttp } from "./errors.ts"

const protocols = [streamProtocol, responsesProtocol]

export const pathOf = (url: string | undefined): string => (url ?? "/").split("?", 1)[0] ?? "/"

/** undefined: it asks for no WebSocket of ours. */
export const protocolOf = (req: IncomingMessage): SocketProtocol | undefined =>
  req.headers.upgrade?.toLowerCase() === "websocket"
    ? protocols.find(({ path }) => path === pathOf(req.url))
    : undefined

/**
 * Anything else that asks for another protocol (h2c, as curl and Java do) is an ordinary request.
 */
export const isSocketRequest = (req: IncomingMessage): boolean => protocolOf(req) !== undefined

/** GET without an upgrade. */
export const refusePlainStream = (call: Call): Effect.Effect<never, Failure> => {
  call.exchange.res.setHeader("upgrade", "websocket")
  return Effect.fail(
    apiError(
      "upgradeRequired",
      `${pathOf(call.exchange.req.url)} is a WebSocket: connect with ws://.`,
    ),
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
