// The server for those who run Sluice, on an address of its own in any kind of process, workers
// included: is it alive, can it do its work, what does it measure. Clients never see it; the
// clients' port then shows no metrics. /admin/* needs a key, or where none is configured a caller
// on this machine.
import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect, Exit, Schema } from "effect"
import { Config } from "../config/Config.ts"
import { Metrics } from "../telemetry/Metrics.ts"
import { openServer } from "../tls/Certificate.ts"

class AdminError extends Schema.TaggedError<AdminError>()("AdminError", {
  message: Schema.String,
}) {}

/** What a probe finds wrong, as a sentence; null: nothing. */
type Probe = Effect.Effect<string | null>

export interface AdminOptions {
  readonly kind: string
  /** The process moves: a supervisor restarts what does not. */
  readonly live: Probe
  /** It can do its work now: nothing is sent to what cannot. */
  readonly ready: Probe
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const json = (status: number, value: unknown): Answer => ({
  status,
  type: "application/json; charset=utf-8",
  body: JSON.stringify(value),
})

const probed = (probe: Probe): Effect.Effect<Answer> =>
  Effect.map(probe, (fault) =>
    fault === null ? json(200, { status: "ok" }) : json(503, { fault }),
  )

/** Of headers and of what a request may take: probes are small. */
const headerBytesMax = 8 * 1024
const timeoutMs = 5_000
const connectionsMax = 256

const digest = (key: string) => createHash("sha256").update(key).digest()

const isLoopback = (address: string | undefined) =>
  address === "::1" || /^(::ffff:)?127\./.test(address ?? "")

const mayAdminister = (req: IncomingMessage, keys: ReadonlyArray<Buffer>): boolean => {
  if (keys.length === 0) return isLoopback(req.socket.remoteAddress)
  const given = digest(/^Bearer +(\S+) *$/i.exec(req.headers.authorization ?? "")?.[1] ?? "")
  let isKnown = false
  for (const key of keys) isKnown = timingSafeEqual(key, given) || isKnown
  return isKnown
}

const write = (res: ServerResponse, { status, type, body }: Answer): void => {
  res.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) })
  res.end(body)
}

const makeRoutes = Effect.fn("Admin.routes")(function* ({ kind, live, ready }: AdminOptions) {
  const metrics = yield* Metrics
  const exposition = Effect.map(
    Effect.promise(() => metrics.exposition()),
    (body): Answer => ({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body }),
  )
  const status = Effect.gen(function* () {
    return json(200, {
      kind,
      pid: process.pid,
      uptime_s: Math.round(process.uptime()),
      live: (yield* live) ?? "ok",
      ready: (yield* ready) ?? "ok",
    })
  })
  return new Map<string, Effect.Effect<Answer>>([
    ["/live", probed(live)],
    ["/health", probed(live)],
    ["/ready", probed(ready)],
    ["/metrics", exposition],
    ["/admin/status", status],
  ])
})

const addressOf = (text: string) => {
  const colon = text.lastIndexOf(":")
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) }
}

/** Serves until the scope closes; null: none is configured. Gives its URL. */
export const serveAdmin = Effect.fn("Admin.serve")(function* (options: AdminOptions) {
  const { admin } = yield* Config
  if (admin.listen === "") return null
  const listen = addressOf(admin.listen)
  const routes = yield* makeRoutes(options)
  const keys = admin.keys.map(digest)
  const runCallback = Effect.runCallbackWith(yield* Effect.context<never>())
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    const path = (req.url ?? "/").replace(/\?.*$/s, "")
    if (path.startsWith("/admin") && !mayAdminister(req, keys)) {
      return write(res, json(401, { error: "An administrator's key is needed." }))
    }
    const route = routes.get(path)
    if (route === undefined) return write(res, json(404, { routes: [...routes.keys()] }))
    if (req.method !== "GET") return write(res, json(405, { error: "Only GET is answered." }))
    runCallback(route, {
      onExit: (exit) =>
        write(res, Exit.isSuccess(exit) ? exit.value : json(500, { error: "It failed." })),
    })
  }
  const { server, scheme } = yield* openServer({
    maxHeaderSize: headerBytesMax,
    headersTimeout: timeoutMs,
    requestTimeout: timeoutMs,
  })
  server.on("request", answer)
  server.maxConnections = connectionsMax
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    }),
  )
  return yield* Effect.callback<string, AdminError>((resume) => {
    server.once("error", ({ message }) =>
      resume(Effect.fail(new AdminError({ message: `admin.listen: ${message}` }))),
    )
    server.listen(listen, () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : listen.port
      resume(Effect.succeed(`${scheme}://${listen.host}:${port}`))
    })
  })
})
