// OpenAI's response object: what a request of the responses dialect looks like at one moment. Made
// of the request and what is known of its events alone, so that every relay shows the same. A
// response id is the request's id in OpenAI's spelling; both name the same request.
import { Option, Schema } from "effect"
import type { FinishReason, RequestAccepted } from "../../../../schemas/types.ts"
import type { TerminalEvent } from "../../../../streams/fold/requestState.ts"
import type { ChatLogprobs } from "./logprobs.ts"
import { createdAt } from "./Projection.ts"
import { terminalError } from "./terminalError.ts"
import { serviceTierOf } from "./usage.ts"

const hexOf = (requestId: string): string => requestId.slice("req-".length)

const responseIdOf = (requestId: string): string => `resp_${hexOf(requestId)}`

/** Of the message that the response consists of. */
export const messageIdOf = (requestId: string): string => `msg_${hexOf(requestId)}`

/** Of a response id; anything else, such as a request id, stays what it is. */
export const requestIdOf = (id: string): string =>
  id.startsWith("resp_") ? `req-${id.slice("resp_".length)}` : id

type ResponseStatus = "queued" | "in_progress" | "completed" | "incomplete" | "failed" | "cancelled"

/** What has become of the request. */
export interface ResponseProgress {
  readonly started: boolean
  /** null: no token came yet. */
  readonly text: string | null
  readonly logprobs: ChatLogprobs
  readonly finish: FinishReason | null
  readonly terminal: TerminalEvent | null
}

export const unstarted: ResponseProgress = {
  started: false,
  text: null,
  logprobs: [],
  finish: null,
  terminal: null,
}

/** One that does not run in the background is never shown as queued: its client is waiting. */
const statusOf = (request: RequestAccepted, progress: ResponseProgress): ResponseStatus => {
  const { terminal } = progress
  if (terminal === null) {
    const waits = !progress.started && request.answer.response?.background === true
    return waits ? "queued" : "in_progress"
  }
  if (terminal.outcome === "cancelled") return "cancelled"
  if (terminal.outcome !== "finished") return "failed"
  return progress.finish === "length" ? "incomplete" : "completed"
}

export const textPart = (progress: Pick<ResponseProgress, "text" | "logprobs">) => ({
  type: "output_text",
  text: progress.text ?? "",
  annotations: [],
  logprobs: progress.logprobs,
})

/** The only output item: the assistant's message. */
export const messageItem = (request: RequestAccepted, progress: ResponseProgress) => {
  const status = statusOf(request, progress)
  const open = status === "in_progress" || status === "queued"
  return {
    id: messageIdOf(request.requestId),
    type: "message",
    status: open ? "in_progress" : status === "completed" ? "completed" : "incomplete",
    role: "assistant",
    content: [textPart(progress)],
  }
}

const responseUsage = (request: RequestAccepted, terminal: TerminalEvent) => {
  const asked = request.prompts.reduce((sum, prompt) => sum + prompt.length, 0)
  const inputTokens = terminal.promptTokens > 0 ? terminal.promptTokens : asked
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: terminal.cachedTokens, cache_write_tokens: 0 },
    output_tokens: terminal.completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: inputTokens + terminal.completionTokens,
  }
}

/** OpenAI's list of codes has one for what goes wrong in a server; the message says what did. */
const errorOf = (progress: ResponseProgress) => {
  const { terminal } = progress
  if (terminal === null || terminal.outcome === "cancelled") return null
  const error = terminalError(terminal)
  return error === null ? null : { code: "server_error", message: error.message }
}

/** As asked for; written by a gateway, or by a producer that may have written anything. */
const formatOf = ({ textFormat }: RequestAccepted): unknown =>
  Option.getOrElse(decodeJson(textFormat ?? ""), () => ({ type: "text" }))

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

export const responseObject = (request: RequestAccepted, progress: ResponseProgress) => {
  const { sampling, answer } = request
  const asked = answer.response
  const status = statusOf(request, progress)
  return {
    id: responseIdOf(request.requestId),
    object: "response",
    created_at: createdAt(request),
    status,
    background: asked?.background ?? false,
    error: errorOf(progress),
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    instructions: asked?.instructions ?? null,
    max_output_tokens: asked?.maxOutputTokens ?? null,
    metadata: Object.fromEntries((asked?.metadata ?? []).map(({ key, value }) => [key, value])),
    model: request.model,
    output: progress.text === null ? [] : [messageItem(request, progress)],
    parallel_tool_calls: false,
    previous_response_id: asked?.previousResponseId ?? null,
    service_tier: serviceTierOf(request) ?? "default",
    store: asked?.store ?? true,
    temperature: sampling.temperature,
    text: { format: formatOf(request) },
    tool_choice: "none",
    tools: [],
    top_logprobs: Math.max(0, sampling.logprobs),
    top_p: sampling.topP,
    truncation: "disabled",
    usage: progress.terminal === null ? null : responseUsage(request, progress.terminal),
    user: answer.user,
  }
}
