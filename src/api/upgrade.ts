// Node's "upgrade" event to a WebSocket: let in by the rules of every call. Each message that makes
// a request takes a token from the caller's bucket and goes through the parser of the stream
// dialect.
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Effect, FiberSet } from "effect"
import { Config } from "../config/Config.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Relay } from "../relay/Relay.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { Tokenizer } from "../tokenizer/Tokenizer.ts"
import { admit, takeFrom } from "./admit.ts"
import { Sockets } from "./answer/Sockets.ts"
import type { Authenticate } from "./auth.ts"
import { parseContext } from "./Call.ts"
import { apiError, codeOf, type Failure } from "./errors.ts"
import { checkCaller } from "./exposure.ts"
import { messageIdempotency } from "./idempotency.ts"
import { parseResponsesMessage } from "./responses.ts"
import { parseStream } from "./parse/stream.ts"
import { RateLimit } from "./RateLimit.ts"
import { protocolOf, writeRawError } from "./socket.ts"
import { traced } from "./trace.ts"

type Needs = Config | ModelCatalog | Relay | Tokenizer

const parsers = {
  "/v1/stream": parseStream,
  "/v1/responses": parseResponsesMessage,
} as const

const untold = () => {}

export const makeUpgrade = Effect.fnUntraced(function* (authenticate: Authenticate) {
  const config = yield* Config
  const metrics = yield* Metrics
  const rateLimit = yield* RateLimit
  const sockets = yield* Sockets
  const { served } = yield* ModelCatalog
  const services = yield* Effect.context<Needs>()
  const run = yield* FiberSet.makeRuntime<never>()

  const enter = Effect.fnUntraced(function* (req: IncomingMessage) {
    const protocol = protocolOf(req)
    if (protocol === undefined) {
      return yield* apiError("malformedHttp", "There is no such protocol to upgrade to here.")
    }
    yield* checkCaller(req.headers, config)
    const identity = yield* admit(req.headers, { authenticate, rateLimit, tell: untold })
    return { identity, protocol }
  })

  const refuse = (socket: Duplex, failure: Failure) =>
    Effect.sync(() => {
      metrics.refused(served.name, codeOf(failure))
      writeRawError(socket, failure)
    })

  return (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Until the handshake nobody else listens, and a reset must not end the process.
    const ignored = () => {}
    socket.on("error", ignored)
    const accepted = Effect.map(enter(req), ({ identity, protocol }) => {
      socket.off("error", ignored)
      sockets.accept(req, socket, head, {
        tenant: identity.tenant,
        protocol,
        draft: (body, requestId) =>
          takeFrom(rateLimit, identity, untold).pipe(
            Effect.andThen(messageIdempotency(body, identity.tenant, protocol.path)),
            Effect.flatMap((idempotency) =>
              parseContext(req, { ...identity, requestId }, idempotency),
            ),
            Effect.flatMap((context) => traced(context, protocol.path)),
            Effect.flatMap((context) => parsers[protocol.path](body, context)),
            Effect.provideContext(services),
          ),
      })
    })
    run(Effect.catch(accepted, (failure) => refuse(socket, failure)))
  }
})
