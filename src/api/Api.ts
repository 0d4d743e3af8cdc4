// The way in as one layer: while it is in scope, the API is served on the configured address. `Api`
// itself says where, for the command line and for tests.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, Layer, Schema, Scope } from "effect"
import { HttpMiddleware } from "effect/http"
import { Config } from "../config/Config.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { Pacer } from "./answer/Pacer.ts"
import { Sockets } from "./answer/Sockets.ts"
import { authenticator } from "./auth.ts"
import { makeEdge } from "./edge.ts"
import { exposureFault } from "./exposure.ts"
import { RateLimit } from "./RateLimit.ts"
import type { Route } from "./Route.ts"
import { routes } from "./routes.ts"
import { listen, makeServer, OpenAnswers, stopAtEnd } from "./Server.ts"
import { makeUpgrade } from "./upgrade.ts"

/** The configuration would let anybody in. */
class ExposureError extends Schema.TaggedError<ExposureError>()("ExposureError", {
  message: Schema.String,
}) {}

const urlOf = (scheme: string, address: string, port: number): string => {
  const host = address === "0.0.0.0" || address === "::" ? "localhost" : address
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`
}

const serve = Effect.fnUntraced(function* (table: ReadonlyArray<Route>) {
  const config = yield* Config
  const fault = exposureFault(config)
  if (fault !== null) return yield* new ExposureError({ message: fault })
  const metrics = yield* Metrics
  const authenticate = authenticator(config)
  const { server, scheme } = yield* makeServer(config.limits)
  const answers = new OpenAnswers()
  let stopping = false
  const edge = yield* makeEdge({ routes: table, authenticate, stopping: () => stopping })
  // Forked before the server's end is registered, so that answers outlive the wait for them.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const handler = yield* NodeHttpServer.makeHandler(edge, { scope })
  server.on("request", answers.began)
  server.on("request", handler)
  const takesSockets = table.some((route) => !route.resume)
  if (takesSockets) server.on("upgrade", yield* makeUpgrade(authenticate))
  let connections = 0
  const count = (by: number) => {
    connections += by
    metrics.gauge("sluice_connections", { kind: "http" }, connections)
  }
  server.on("connection", (socket) => {
    count(1)
    socket.once("close", () => count(-1))
  })
  const { address, port } = yield* listen(server, config)
  yield* stopAtEnd({
    server,
    answers,
    drainMs: config.worker.drainMs,
    onStopping: () => (stopping = true),
  })
  return Api.of({ host: address, port, url: urlOf(scheme, address, port) })
})

/** Requests get their own log line; spans of a whole answer would live as long as its stream. */
const untraced = Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true)

const parts = Layer.mergeAll(RateLimit.layer, Sockets.layer, untraced).pipe(
  Layer.provideMerge(Pacer.layer),
)

const layerOf = (table: ReadonlyArray<Route>) =>
  Layer.effect(Api, serve(table)).pipe(Layer.provide(parts))

export class Api extends Context.Service<
  Api,
  {
    readonly host: string
    /** The one in use, where 0 was configured. */
    readonly port: number
    readonly url: string
  }
>()("sluice/api/Api") {
  /** Everything. */
  static readonly layer = Layer.suspend(() => layerOf(routes))
  /** What goes on from the logs alone: requests made earlier, and how the process is. */
  static readonly layerRelay = Layer.suspend(() => layerOf(routes.filter((route) => route.resume)))
}
