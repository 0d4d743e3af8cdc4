// The trace of a request as its gateway sees it: begun where the request is parsed, ended where its
// answer is, by OpenTelemetry's conventions for generative AI.
import { Effect } from "effect"
import { type Attributes, Traces } from "../telemetry/Traces.ts"
import type { ParseContext } from "./parse/context.ts"

const operations: Readonly<Record<string, string>> = {
  "/v1/completions": "text_completion",
  "/v1/stream": "text_completion",
}

const operationOf = (route: string) => operations[route] ?? "chat"

/** The request's record carries on the context of a span that begins now. */
export const traced = Effect.fnUntraced(function* (context: ParseContext, route: string) {
  const traces = yield* Traces
  const { caller, model } = context
  const { requestId, traceparent: parent } = caller
  const name = `${operationOf(route)} ${model.name}`
  const traceparent = traces.begin({ requestId, name, parent })
  return { ...context, caller: { ...caller, traceparent } }
})

/** From the facts of a request's log line. */
export const endTrace = Effect.fnUntraced(function* (
  requestId: string,
  model: string,
  facts: Readonly<Record<string, unknown>>,
) {
  const traces = yield* Traces
  const { route = "", status, method, code, tenant, promptTokens, completionTokens } = facts
  const known = {
    "gen_ai.operation.name": operationOf(String(route)),
    "gen_ai.provider.name": "sluice",
    "gen_ai.request.model": model,
    "gen_ai.response.id": requestId,
    "gen_ai.usage.input_tokens": promptTokens,
    "gen_ai.usage.output_tokens": completionTokens,
    "http.request.method": method,
    "http.route": route,
    "http.response.status_code": status,
    "error.type": code,
    "sluice.tenant": tenant,
    "sluice.outcome": facts["outcome"],
  }
  const attributes: Record<string, Attributes[string]> = {}
  for (const [name, value] of Object.entries(known)) {
    if (typeof value === "string" || typeof value === "number") attributes[name] = value
  }
  traces.end(requestId, attributes, code !== undefined)
})
