// GET /: a few lines for whoever opens the address to see what it is.
import { Effect } from "effect"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { type Call, writeText } from "./Call.ts"

export const showHint = Effect.fnUntraced(function* (call: Call) {
  const { served } = yield* ModelCatalog
  const scheme = "encrypted" in call.exchange.req.socket ? "https" : "http"
  const host = call.exchange.req.headers.host ?? "localhost"
  const body = JSON.stringify({ model: served.name, prompt: "Once upon a time", stream: true })
  writeText(
    call.exchange.res,
    [
      `This is Sluice, an LLM inference server. It serves the model ${served.name}.`,
      "",
      "Try:",
      `  curl -N ${scheme}://${host}/v1/completions -H 'content-type: application/json' \\`,
      `    -d '${body.replaceAll("'", `'\\''`)}'`,
      "",
      "The API is OpenAI's, and more: /openapi.json describes it.",
      "Also: /v1/models  /health  /ready  /metrics",
      "",
    ].join("\n"),
  )
})
