// What happens to every HTTP request, whatever its route: an id, who calls and may they, the route,
// and one log line at the end. Failures become answers here and nowhere else; a defect becomes a
// 500 that says nothing of its cause, which goes to the log.
import { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Clock, Context, Effect, Exit } from "effect"
import {
  type HttpServerError,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse,
} from "effect/http"
import { newRequestId } from "../../streams/requestId.ts"
import { Config } from "../config/Config.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { admit, rateHeaders } from "./admit.ts"
import type { Exchange } from "./answer/Exchange.ts"
import type { Authenticate } from "./auth.ts"
import { answerPreflight, isPreflight, writeCorsHeaders } from "./cors.ts"
import { apiError, type ApiError, codeOf, type Failure, isRefusal, writeError } from "./errors.ts"
import { checkCaller } from "./exposure.ts"
import { methodsOf } from "./matching.ts"
import { RateLimit } from "./RateLimit.ts"
import type { Route } from "./Route.ts"
import { pathOf } from "./socket.ts"
import { endTrace } from "./trace.ts"

type Notes = Record<string, string | number>

/** A request from its arrival on; `notes` fill up for the log line. */
class Arrival extends Context.Service<
  Arrival,
  {
    readonly exchange: Exchange
    readonly requestId: string
    readonly arrivedAt: number
    readonly notes: Notes
  }
>()("sluice/api/Arrival") {}

type Arrived = Arrival["Service"]

export interface EdgeOptions {
  readonly routes: ReadonlyArray<Route>
  readonly authenticate: Authenticate
  /** True once the server stops: connections are not kept for another request. */
  readonly stopping: () => boolean
}

/** Raw answers are written already; the router only wants some response to pass on. */
const written = HttpServerResponse.empty()

const routeEffect = (route: Route, authenticate: Authenticate) =>
  Effect.gen(function* () {
    const { exchange, requestId, notes } = yield* Arrival
    const { params } = yield* HttpRouter.RouteContext
    const { req, res } = exchange
    notes["route"] = route.path
    let tenant = ""
    let timeoutMs: number | null = null
    if (!route.open) {
      const rateLimit = yield* RateLimit
      const identity = yield* admit(req.headers, {
        authenticate,
        rateLimit,
        tell: (decision) =>
          rateHeaders(decision).forEach(([name, value]) => res.setHeader(name, value)),
      })
      tenant = identity.tenant
      timeoutMs = identity.timeoutMs
      if (tenant !== "") notes["tenant"] = tenant
    }
    const note = (name: string, value: string | number) => void (notes[name] = value)
    yield* route.handle({ exchange, requestId, tenant, timeoutMs, params, note })
    return written
  })

/** What the router could not route: a wrong method, or a path that is not there. */
const unrouted = (
  error: HttpServerError.HttpServerError | Failure,
  { exchange }: Arrived,
  methods: ReturnType<typeof methodsOf>,
): Failure => {
  if (error._tag !== "HttpServerError") return error
  const { req, res } = exchange
  const allowed = methods(pathOf(req.url))
  const asked = `${req.method} ${pathOf(req.url).slice(0, 100)}`
  // A path that is there under this very method could not be read: a broken %-escape.
  if (allowed.length === 0 || allowed.includes(req.method ?? "")) {
    return apiError("unknownRoute", `There is no ${asked}.`)
  }
  res.setHeader("allow", allowed.join(", "))
  return apiError("methodNotAllowed", `${asked} is not allowed; ${allowed.join(", ")} is.`)
}

const arrive = Effect.gen(function* (): Effect.fn.Return<
  Arrived,
  never,
  HttpServerRequest.HttpServerRequest
> {
  const request = yield* HttpServerRequest.HttpServerRequest
  const req = NodeHttpServerRequest.toIncomingMessage(request)
  const res = NodeHttpServerRequest.toServerResponse(request)
  if (!(req instanceof IncomingMessage) || !(res instanceof ServerResponse)) {
    return yield* Effect.die("The server speaks HTTP/1.1 only.")
  }
  const arrivedAt = yield* Clock.currentTimeMillis
  const requestId = newRequestId(arrivedAt)
  res.setHeader("x-request-id", requestId)
  return { exchange: { req, res }, requestId, arrivedAt, notes: {} }
})

/** The trace that the caller says it is part of, as W3C writes it; else nothing. */
const traceOf = (header: unknown): { readonly traceId?: string } => {
  const found = typeof header === "string" ? /^00-([\da-f]{32})-[\da-f]{16}-/.exec(header) : null
  return found?.[1] === undefined ? {} : { traceId: found[1] }
}

/** One line a request; what load balancers and scrapers ask all day is only there for debugging. */
const logLine = Effect.fnUntraced(function* (
  { exchange, requestId, arrivedAt, notes }: Arrived,
  exit: Exit.Exit<unknown, unknown>,
  { quiet, model }: { readonly quiet: boolean; readonly model: string },
) {
  const { req, res } = exchange
  const gone = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) && !res.writableEnded
  const facts = {
    requestId,
    method: req.method ?? "",
    status: res.statusCode,
    durationMs: (yield* Clock.currentTimeMillis) - arrivedAt,
    ...(gone ? { clientGone: true } : {}),
    ...traceOf(req.headers["traceparent"]),
    ...notes,
  }
  const entry = quiet ? Effect.logDebug("request") : Effect.logInfo("request")
  yield* Effect.annotateLogs(entry, facts)
  yield* endTrace(requestId, model, facts)
})

/** The HTTP application: never fails, answers everything. */
export const makeEdge = Effect.fnUntraced(function* (options: EdgeOptions) {
  const config = yield* Config
  const metrics = yield* Metrics
  const { served } = yield* ModelCatalog
  const methods = methodsOf(options.routes)
  const pathsWhere = (holds: (route: Route) => boolean) =>
    new Set<unknown>(options.routes.filter(holds).map((route) => route.path))
  const quiet = pathsWhere((route) => route.open)
  const generates = pathsWhere((route) => route.generates)
  const routed = yield* HttpRouter.toHttpEffect(
    HttpRouter.use((router) =>
      Effect.forEach(
        options.routes,
        (route) => router.add(route.method, route.path, routeEffect(route, options.authenticate)),
        { discard: true },
      ),
    ),
  )
  const enter = Effect.fnUntraced(function* (arrived: Arrived) {
    const { req, res } = arrived.exchange
    if (options.stopping()) res.setHeader("connection", "close")
    writeCorsHeaders(arrived.exchange, config)
    if (req.headers.host === undefined && req.httpVersion === "1.1") {
      return yield* apiError("malformedHttp", "HTTP/1.1 needs a Host header.")
    }
    yield* checkCaller(req.headers, config)
    if (config.corsOrigins.length > 0 && isPreflight(req)) return answerPreflight(res, req)
    yield* routed.pipe(
      Effect.provideService(Arrival, arrived),
      Effect.mapError((error) => unrouted(error, arrived, methods)),
    )
  })
  const refuse = (arrived: Arrived, failure: Failure) =>
    Effect.sync(() => {
      arrived.notes["code"] = codeOf(failure)
      if (generates.has(arrived.notes["route"]) && isRefusal(failure)) {
        metrics.refused(served.name, codeOf(failure))
      }
      writeError(arrived.exchange.res, failure)
    })
  return Effect.gen(function* () {
    const arrived = yield* arrive
    yield* enter(arrived).pipe(
      Effect.catch((failure) => refuse(arrived, failure)),
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError("request failed by a defect", Cause.die(defect)),
          refuse(arrived, internal()),
        ),
      ),
      Effect.onExit((exit) =>
        logLine(arrived, exit, { quiet: quiet.has(arrived.notes["route"]), model: served.name }),
      ),
    )
    return written
  })
})

const internal = (): ApiError =>
  apiError("internal", "Something went wrong inside the server; its log says what.")
