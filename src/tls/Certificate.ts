// A server of HTTP or, where a certificate is configured, of HTTPS: both are used alike. The
// certificate follows its files: who renews it restarts nothing, connections that are open keep the
// old one, and a pair that cannot be used leaves the old one in force. When it ends is a metric.
import { X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { createServer, type Server, type ServerOptions } from "node:http"
import { createServer as createTlsServer, type Server as TlsServer } from "node:https"
import { createSecureContext } from "node:tls"
import { Effect, Schedule, Schema } from "effect"
import { Config, type TlsConfig } from "../config/Config.ts"
import { Metrics } from "../telemetry/Metrics.ts"

/** How often the files are looked at: links that are swapped, as Kubernetes does, tell nobody. */
const everyMs = 5_000

/** Who connects and does not speak TLS holds a connection for no longer. */
const handshakeMsMax = 10_000

class CertificateError extends Schema.TaggedError<CertificateError>()("CertificateError", {
  message: Schema.String,
}) {}

interface Pair {
  readonly cert: string
  readonly key: string
}

const read = (setting: string, file: string): Effect.Effect<string, CertificateError> =>
  Effect.tryPromise({
    try: () => readFile(file, "utf8"),
    catch: (cause) => new CertificateError({ message: `${setting} cannot be read: ${cause}` }),
  })

const readPair = (files: TlsConfig): Effect.Effect<Pair, CertificateError> =>
  Effect.all({ cert: read("tls.cert", files.cert), key: read("tls.key", files.key) })

/** Until when it is valid, in seconds; fails where it is no pair. */
const check = (pair: Pair): Effect.Effect<number, CertificateError> =>
  Effect.try({
    try: () => {
      createSecureContext(pair)
      return new X509Certificate(pair.cert).validToDate.getTime() / 1000
    },
    // OpenSSL's words name no contents.
    catch: (cause) =>
      new CertificateError({ message: `tls.cert and tls.key are no usable pair: ${cause}` }),
  })

/** Gives the server each pair that its files come to hold. */
const follow = Effect.fnUntraced(function* (server: TlsServer, files: TlsConfig, first: Pair) {
  const metrics = yield* Metrics
  const tell = (endsAt: number) =>
    metrics.gauge("sluice_certificate_expiry_timestamp_seconds", {}, endsAt)
  tell(yield* check(first))
  let tried = first
  let fault = ""
  const look = Effect.gen(function* () {
    const pair = yield* readPair(files)
    if (pair.cert === tried.cert && pair.key === tried.key) return
    tried = pair
    const endsAt = yield* check(pair)
    server.setSecureContext(pair)
    tell(endsAt)
    fault = ""
    yield* Effect.logInfo("serving with another certificate")
  }).pipe(
    Effect.catch(({ message }) => {
      if (message === fault) return Effect.void
      fault = message
      return Effect.logWarning(`the certificate stays as it was: ${message}`)
    }),
  )
  yield* look.pipe(Effect.repeat(Schedule.spaced(everyMs)), Effect.forkScoped)
})

export interface Opened {
  readonly server: Server
  readonly scheme: "http" | "https"
}

/** A server that does not listen yet; its certificate is followed while the scope lasts. */
export const openServer = Effect.fn("Certificate.openServer")(function* (options: ServerOptions) {
  const { tls } = yield* Config
  if (tls.cert === "") return { server: createServer(options), scheme: "http" } satisfies Opened
  const pair = yield* readPair(tls)
  yield* check(pair)
  const server = createTlsServer({
    ...options,
    ...pair,
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: handshakeMsMax,
  })
  // There is no HTTP yet in which to say what is wrong.
  server.on("tlsClientError", (_, socket) => socket.destroy())
  yield* follow(server, tls, pair)
  return { server, scheme: "https" } satisfies Opened
})
