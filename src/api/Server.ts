// Node's HTTP server with every limit set, and its end: it stops taking connections, lets answers
// finish within a bound, then cuts what is left. A cut stream can be resumed elsewhere by its
// cursor.
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import { HttpServerError } from "effect/http"
import type { ConfigShape, Limits } from "../config/Config.ts"
import { type Opened, openServer } from "../tls/Certificate.ts"
import { apiError, type Failure } from "./errors.ts"
import { isSocketRequest, writeRawError } from "./socket.ts"

/** From a connection's first byte to the end of its headers. */
const headersTimeoutMs = 10_000

/** Longer than proxies and clients keep an idle connection, so that they close it first. */
const keepAliveMs = 75_000

/** How late the timeouts above may be noticed. */
const checkEveryMs = 1000

export const makeServer = Effect.fnUntraced(function* (limits: Limits) {
  const opened: Opened = yield* openServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: headersTimeoutMs,
    // Behind the body's own timeout, which can still answer in words.
    requestTimeout: headersTimeoutMs + limits.bodyTimeoutMs + checkEveryMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: checkEveryMs,
    // Checked where it can be answered in words.
    requireHostHeader: false,
    // Where nobody takes sockets over, the request gets an ordinary answer.
    shouldUpgradeCallback: (req) =>
      isSocketRequest(req) && opened.server.listenerCount("upgrade") > 0,
  })
  const { server } = opened
  // A connection past it is closed at once.
  server.maxConnections = limits.connectionsMax
  server.on("clientError", (error, socket) => writeRawError(socket, brokenHttp(error)))
  return opened
})

/** What node's parser refused before there was a request. */
const brokenHttp = (error: Error): Failure => {
  const code = "code" in error ? error.code : ""
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return apiError("headersTooLarge", "The request's headers are too large.")
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return apiError("bodyTimeout", "The request did not arrive in time.")
    default:
      return apiError("malformedHttp", "This is not HTTP/1.1 as it should be.")
  }
}

export const listen = (
  server: Server,
  { host, port }: Pick<ConfigShape, "host" | "port">,
): Effect.Effect<AddressInfo, HttpServerError.ServeError> =>
  Effect.callback((resume) => {
    const onError = (cause: Error) => resume(Effect.fail(new HttpServerError.ServeError({ cause })))
    server.once("error", onError)
    server.listen({ host, port }, () => {
      server.off("error", onError)
      const address = server.address()
      resume(
        typeof address === "object" && address !== null
          ? Effect.succeed(address)
          : Effect.die("An HTTP server that listens on a port has an address."),
      )
    })
  })

/** Counts answers that are not finished, to know when the last one is. */
export class OpenAnswers {
  #count = 0
  #whenNone: (() => void) | null = null

  readonly began = (_: IncomingMessage, res: ServerResponse): void => {
    this.#count++
    res.once("close", () => {
      this.#count--
      if (this.#count === 0) this.#whenNone?.()
    })
  }

  readonly none: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.#count === 0) return resume(Effect.void)
    this.#whenNone = () => resume(Effect.void)
  })
}

export interface StopOptions {
  readonly server: Server
  readonly answers: OpenAnswers
  readonly drainMs: number
  readonly onStopping: () => void
}

/** Stops the server when the scope closes; the handlers' own scope must close after it. */
export const stopAtEnd = (options: StopOptions): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const { server, answers, drainMs, onStopping } = options
      onStopping()
      server.close()
      yield* Effect.timeoutOption(answers.none, drainMs)
      server.closeAllConnections()
    }),
  )
