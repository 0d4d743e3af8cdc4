// A request as GET and DELETE /v1/requests/{id} show it: where it stands, what it said so far, and
// the cursor from which its events go on.
import type { RequestView } from "../../relay/Relay.ts"
import { type ErrorBody, toErrorBody } from "../errors.ts"
import { createdAt } from "./dialect/Projection.ts"
import { terminalError } from "./dialect/terminalError.ts"
import { type Usage, usageOf } from "./dialect/usage.ts"

export interface RequestBody {
  readonly id: string
  readonly object: "request"
  readonly status: RequestView["state"]
  readonly model: string
  readonly model_version: string
  readonly dialect: string
  readonly service_tier: string
  readonly attempt: number
  readonly cursor: number
  readonly created: number
  /** ms since the epoch */
  readonly accepted_at: number
  readonly deadline_at: number
  readonly choices: ReadonlyArray<{
    readonly index: number
    readonly text: string
    readonly finish_reason: "stop" | "length" | null
  }>
  readonly usage: Usage
  /** Why it did not finish; null otherwise. */
  readonly error: ErrorBody["error"] | null
}

export const requestBody = (view: RequestView): RequestBody => {
  const { request, terminal } = view
  const failure = terminal === null ? null : terminalError(terminal)
  return {
    id: request.requestId,
    object: "request",
    status: view.state,
    model: request.model,
    model_version: request.version,
    dialect: request.dialect,
    service_tier: request.tier,
    attempt: view.attempt,
    cursor: view.events,
    created: createdAt(request),
    accepted_at: request.acceptedAt,
    deadline_at: request.deadline,
    choices: view.texts.map((text, index) => ({
      index,
      text,
      finish_reason: view.finishes[index] ?? null,
    })),
    usage: usageOf({
      promptTokens: request.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
      cachedTokens: terminal?.cachedTokens ?? 0,
      completionTokens: view.completionTokens,
    }),
    error: failure === null ? null : toErrorBody(failure).error,
  }
}
