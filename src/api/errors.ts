// The one table of errors as clients see them: status, type and code of every failure that can
// reach the HTTP edge, in OpenAI's shape. Nothing else in Sluice knows an HTTP status. The same
// body travels as an object inside an answer that is already open. What a log error says stays
// inside: its message may name paths and partitions.
import type { ServerResponse } from "node:http"
import { Schema, Struct } from "effect"
import type { EnqueueError } from "../enqueue/Enqueue.ts"
import type { RelayError } from "../relay/Relay.ts"
import type { LogError } from "../../streams/Log.ts"
import type { TokenizerError } from "../tokenizer/Tokenizer.ts"

const invalid = "invalid_request_error"
const server = "server_error"
const overloaded = "overloaded_error"

interface Row {
  readonly status: number
  readonly type: string
  readonly code: string
  /** False on a failure that an automatic retry would only repeat (SDKs retry 408, 429 and 5xx). */
  readonly retry?: false
  /** Of a body that is still on its way: the connection cannot be used again. */
  readonly close?: true
}

const apiRows = {
  invalidJson: { status: 400, type: invalid, code: "invalid_json" },
  invalidValue: { status: 400, type: invalid, code: "invalid_value" },
  missing: { status: 400, type: invalid, code: "missing_required_parameter" },
  unsupported: { status: 400, type: invalid, code: "unsupported_parameter" },
  contextLength: { status: 400, type: invalid, code: "context_length_exceeded" },
  malformedHttp: { status: 400, type: invalid, code: "malformed_http" },
  unauthenticated: { status: 401, type: "authentication_error", code: "invalid_api_key" },
  forbidden: { status: 403, type: "permission_error", code: "origin_not_allowed" },
  unknownRoute: { status: 404, type: invalid, code: "unknown_url" },
  unknownModel: { status: 404, type: invalid, code: "model_not_found" },
  methodNotAllowed: { status: 405, type: invalid, code: "method_not_allowed" },
  bodyTimeout: { status: 408, type: invalid, code: "request_timeout", retry: false, close: true },
  tooLarge: { status: 413, type: invalid, code: "request_too_large", close: true },
  encodingUnsupported: { status: 415, type: invalid, code: "unsupported_content_encoding" },
  mediaUnsupported: { status: 415, type: invalid, code: "unsupported_media_type" },
  upgradeRequired: { status: 426, type: invalid, code: "upgrade_required" },
  rateLimited: { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" },
  tooManyRequests: { status: 429, type: "rate_limit_error", code: "too_many_requests" },
  headersTooLarge: { status: 431, type: invalid, code: "headers_too_large" },
  cancelled: { status: 499, type: "cancelled_error", code: "request_cancelled" },
  internal: { status: 500, type: server, code: "internal_error" },
  generationFailed: { status: 500, type: server, code: "generation_failed", retry: false },
  deadLettered: { status: 500, type: server, code: "dead_lettered", retry: false },
  notBuilt: { status: 501, type: server, code: "structured_output_not_built", retry: false },
  notReady: { status: 503, type: overloaded, code: "not_ready" },
  expired: { status: 504, type: "timeout_error", code: "deadline_exceeded", retry: false },
} as const satisfies Record<string, Row>

const enqueueRows: Record<EnqueueError["reason"], Row> = {
  unknownModel: { status: 404, type: invalid, code: "model_not_found" },
  tooLong: { status: 400, type: invalid, code: "context_length_exceeded" },
  busy: { status: 429, type: overloaded, code: "server_busy" },
  noWorkers: { status: 503, type: overloaded, code: "no_workers" },
  draining: { status: 503, type: overloaded, code: "draining" },
  keyReused: { status: 422, type: invalid, code: "idempotency_key_reused" },
  keyGone: { status: 410, type: invalid, code: "request_expired" },
  unconfirmed: { status: 503, type: server, code: "outcome_unknown" },
  keysFull: { status: 429, type: overloaded, code: "too_many_idempotency_keys" },
}

const relayRows: Record<RelayError["reason"], Row> = {
  unknownRequest: { status: 404, type: invalid, code: "request_not_found" },
  gone: { status: 410, type: invalid, code: "request_expired" },
  cursorAhead: { status: 400, type: invalid, code: "cursor_ahead" },
  tooManySubscribers: { status: 503, type: overloaded, code: "too_many_streams" },
}

const tokenizerRows: Record<TokenizerError["reason"], Row> = {
  busy: { status: 503, type: overloaded, code: "tokenizer_busy" },
  tooLong: { status: 400, type: invalid, code: "context_length_exceeded" },
  notEncodable: { status: 400, type: invalid, code: "text_not_encodable" },
  noChatTemplate: { status: 400, type: invalid, code: "no_chat_template" },
  templateFailed: { status: 400, type: invalid, code: "chat_template_failed" },
  unsupported: { status: 500, type: server, code: "tokenizer_unsupported", retry: false },
  damaged: { status: 500, type: server, code: "tokenizer_damaged", retry: false },
}

const logUnavailable: Row = { status: 503, type: overloaded, code: "log_unavailable" }
const logUnknown: Row = { status: 503, type: server, code: "outcome_unknown", retry: false }
const logMessage =
  "The request log is not available at the moment; nothing was accepted. Try again shortly."
const logUnknownMessage =
  "The request log did not confirm the request: it may or may not have been accepted. " +
  "Look it up by its x-request-id before sending it again."

type Reason = keyof typeof apiRows

/** What the edge itself finds wrong, and how a request that was admitted may end badly. */
export class ApiError extends Schema.TaggedError<ApiError>()("ApiError", {
  reason: Schema.Literals(Struct.keys(apiRows)),
  message: Schema.String,
  /** The body's path that is wrong: "stop[2]", "stream_options.include_usage". */
  param: Schema.NullOr(Schema.String),
  /** 0: no Retry-After. */
  retryAfterMs: Schema.Number,
  /** What was asked, used and allowed, by name: for the client to see. */
  numbers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Number)),
}) {}

/** Every failure the edge answers for. */
export type Failure = ApiError | EnqueueError | LogError | RelayError | TokenizerError

interface Details {
  readonly param?: string
  readonly retryAfterMs?: number
  readonly numbers?: Readonly<Record<string, number>>
}

export const apiError = (reason: Reason, message: string, details: Details = {}): ApiError =>
  new ApiError({
    reason,
    message,
    param: details.param ?? null,
    retryAfterMs: details.retryAfterMs ?? 0,
    ...(details.numbers === undefined ? {} : { numbers: details.numbers }),
  })

export interface ErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string
    /**
     * Of what retention has passed: the cursor from which its events can still be had. A request is
     * numbered from its beginning, so without it there is none: null.
     */
    readonly earliest_cursor?: null
    /** Of a refusal: what was asked, used and allowed. */
    readonly numbers?: Readonly<Record<string, number>>
  }
}

const rowOf = (failure: Failure): Row => {
  switch (failure._tag) {
    case "ApiError":
      return apiRows[failure.reason]
    case "EnqueueError":
      return enqueueRows[failure.reason]
    case "RelayError":
      return relayRows[failure.reason]
    case "TokenizerError":
      return tokenizerRows[failure.reason]
    case "LogError":
      return failure.reason === "unknownOutcome" ? logUnknown : logUnavailable
  }
}

const messageOf = (failure: Failure): string =>
  failure._tag !== "LogError"
    ? failure.message
    : failure.reason === "unknownOutcome"
      ? logUnknownMessage
      : logMessage

const paramOf = (failure: Failure): string | null =>
  failure._tag === "ApiError"
    ? failure.param
    : failure._tag === "EnqueueError" && failure.reason === "unknownModel"
      ? "model"
      : null

const retryAfterMsOf = (failure: Failure, row: Row): number => {
  const measured = "retryAfterMs" in failure ? (failure.retryAfterMs ?? 0) : 0
  if (measured > 0) return measured
  return row.retry !== false && (row.status === 429 || row.status === 503) ? 1000 : 0
}

/**
 * False where the request was admitted and then ended badly: its answer is metered, not its
 * refusal.
 */
export const isRefusal = (failure: Failure): boolean =>
  failure._tag !== "ApiError" ||
  !["cancelled", "expired", "generationFailed", "deadLettered"].includes(failure.reason)

/** The machine-readable name of a failure, for metrics and the request's log line. */
export const codeOf = (failure: Failure): string => rowOf(failure).code

/** The failure as an object inside an answer that is already open. */
export const toErrorBody = (failure: Failure): ErrorBody => {
  const row = rowOf(failure)
  return {
    error: {
      message: messageOf(failure),
      type: row.type,
      param: paramOf(failure),
      code: row.code,
      ...(row.status === 410 ? { earliest_cursor: null } : {}),
      ...("numbers" in failure && failure.numbers !== undefined
        ? { numbers: failure.numbers }
        : {}),
    },
  }
}

export interface HttpError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** `partial`: what there is of the answer, which is told beside the error. */
export const toHttp = (
  failure: Failure,
  partial: Readonly<Record<string, unknown>> = {},
): HttpError => {
  const row = rowOf(failure)
  const body = JSON.stringify({ ...partial, ...toErrorBody(failure) })
  const headers: Record<string, string> = {
    "content-type": "application/json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
  }
  const retryAfterMs = retryAfterMsOf(failure, row)
  if (retryAfterMs > 0) headers["retry-after"] = String(Math.ceil(retryAfterMs / 1000))
  if (row.retry === false) headers["x-should-retry"] = "false"
  if (row.close === true) headers["connection"] = "close"
  if (row.status === 401) headers["www-authenticate"] = 'Bearer realm="sluice"'
  return { status: row.status, headers, body }
}

/**
 * Answers with the failure; an answer that is already open is cut off, so that it looks unfinished.
 */
export const writeError = (res: ServerResponse, failure: Failure): void => {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const { status, headers, body } = toHttp(failure)
  res.writeHead(status, headers)
  res.end(body)
}
