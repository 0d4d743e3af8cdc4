// The settings of those who run Sluice: what things cost, and the server of probes, metrics and
// administration.
import { Schema } from "effect"
import { url } from "./servers.ts"
import type { AdminConfig, Prices, TlsConfig, TracingConfig } from "./Config.ts"
import { file, list, price, type Setting, setting, share } from "./setting.ts"

type Get = <A>(setting: Setting<A>) => A

export const prices = (get: Get): Prices => ({
  promptPerMillion: get(
    price("prices.promptPerMillion", "Of a million prompt tokens, for sluice_revenue_total."),
  ),
  completionPerMillion: get(
    price("prices.completionPerMillion", "Of a million completion tokens."),
  ),
  workerPerHour: get(price("prices.workerPerHour", "What a worker costs an hour.")),
})

export const tracing = (get: Get): TracingConfig => ({
  endpoint: get(
    url("tracing.endpoint", /^https?:$/, "Where traces go: OTLP over HTTP, /v1/traces; none: off."),
  ),
  sampleRatio: get(
    share("tracing.sampleRatio", 0.1, "The share of requests traced; a caller's decision wins."),
  ),
})

export const tls = (get: Get): TlsConfig => ({
  cert: get(
    file("tls.cert", "A certificate and its chain (PEM): clients and administrators get HTTPS."),
  ),
  key: get(file("tls.key", "Its private key (PEM). Both files may change at any time.")),
})

const listen: Setting<string> = setting<string>("admin.listen", {
  schema: Schema.String.check(Schema.isPattern(/^([A-Za-z0-9._-]+:\d{1,5})?$/)),
  fallback: "",
  expects: "host:port",
  about: "Where probes, metrics and /admin are, of any process; none: there is no such server.",
})

export const admin = (get: Get): AdminConfig => {
  return {
    listen: get(listen),
    keys: get({
      ...list("admin.keys", "Who may call /admin there; none: only this machine."),
      secret: true,
    }),
  }
}
