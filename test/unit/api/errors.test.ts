// The table of errors: every failure has a status, OpenAI's shape, and a Retry-After where it
// helps.
import { assert, describe, it } from "vitest"
import { apiError, type Failure, isRefusal, toErrorBody, toHttp } from "../../../src/api/errors.ts"
import { EnqueueError } from "../../../src/enqueue/Enqueue.ts"
import { RelayError } from "../../../src/relay/Relay.ts"
import { TokenizerError } from "../../../src/tokenizer/Tokenizer.ts"
import { LogError } from "../../../streams/Log.ts"

const enqueue = (reason: EnqueueError["reason"], retryAfterMs = 0) =>
  new EnqueueError({ reason, message: "m", retryAfterMs })
const relay = (reason: RelayError["reason"]) => new RelayError({ reason, message: "m" })
const log = (reason: LogError["reason"]) =>
  new LogError({ reason, message: "/var/lib/sluice/lock" })
const tokenizer = (reason: TokenizerError["reason"]) => new TokenizerError({ reason, message: "m" })

const table: ReadonlyArray<readonly [Failure, number, string, string | undefined]> = [
  [apiError("invalidJson", "m"), 400, "invalid_json", undefined],
  [apiError("unauthenticated", "m"), 401, "invalid_api_key", undefined],
  [apiError("forbidden", "m"), 403, "origin_not_allowed", undefined],
  [apiError("unknownRoute", "m"), 404, "unknown_url", undefined],
  [apiError("methodNotAllowed", "m"), 405, "method_not_allowed", undefined],
  [apiError("bodyTimeout", "m"), 408, "request_timeout", undefined],
  [apiError("tooLarge", "m"), 413, "request_too_large", undefined],
  [apiError("encodingUnsupported", "m"), 415, "unsupported_content_encoding", undefined],
  [apiError("rateLimited", "m", { retryAfterMs: 1500 }), 429, "rate_limit_exceeded", "2"],
  [apiError("headersTooLarge", "m"), 431, "headers_too_large", undefined],
  [apiError("cancelled", "m"), 499, "request_cancelled", undefined],
  [apiError("internal", "m"), 500, "internal_error", undefined],
  [apiError("notReady", "m"), 503, "not_ready", "1"],
  [apiError("expired", "m"), 504, "deadline_exceeded", undefined],
  [enqueue("unknownModel"), 404, "model_not_found", undefined],
  [enqueue("tooLong"), 400, "context_length_exceeded", undefined],
  [enqueue("busy", 2300), 429, "server_busy", "3"],
  [enqueue("noWorkers", 5000), 503, "no_workers", "5"],
  [enqueue("draining"), 503, "draining", "1"],
  [relay("unknownRequest"), 404, "request_not_found", undefined],
  [relay("gone"), 410, "request_expired", undefined],
  [relay("cursorAhead"), 400, "cursor_ahead", undefined],
  [relay("tooManySubscribers"), 503, "too_many_streams", "1"],
  [tokenizer("noChatTemplate"), 400, "no_chat_template", undefined],
  [tokenizer("templateFailed"), 400, "chat_template_failed", undefined],
  [tokenizer("tooLong"), 400, "context_length_exceeded", undefined],
  [tokenizer("busy"), 503, "tokenizer_busy", "1"],
  [log("unavailable"), 503, "log_unavailable", "1"],
  [log("full"), 503, "log_unavailable", "1"],
  [log("unknownOutcome"), 503, "outcome_unknown", undefined],
]

describe("a failure", () => {
  it.each(table)("%j answers %i %s", (failure, status, code, retryAfter) => {
    const http = toHttp(failure)
    assert.strictEqual(http.status, status)
    assert.strictEqual(http.headers["retry-after"], retryAfter)
    const { error } = JSON.parse(http.body)
    const always = ["code", "message", "param", "type"]
    const names = status === 410 ? ["code", "earliest_cursor", "message", "param", "type"] : always
    assert.deepStrictEqual(Object.keys(error).sort(), names)
    assert.strictEqual(error.code, code)
    assert.deepStrictEqual(JSON.parse(http.body), toErrorBody(failure))
    assert.strictEqual(http.headers["content-length"], String(Buffer.byteLength(http.body)))
  })

  it("of the log does not tell clients what is on the disk", () => {
    for (const reason of ["unavailable", "unknownOutcome", "corrupt"] as const) {
      assert.notInclude(toHttp(log(reason)).body, "/var/lib")
    }
  })

  it("that a retry would repeat says so to SDKs", () => {
    assert.strictEqual(toHttp(apiError("generationFailed", "m")).headers["x-should-retry"], "false")
    assert.strictEqual(toHttp(log("unknownOutcome")).headers["x-should-retry"], "false")
    assert.isUndefined(toHttp(enqueue("busy")).headers["x-should-retry"])
  })

  it("after admission is no refusal", () => {
    assert.isFalse(isRefusal(apiError("expired", "m")))
    assert.isTrue(isRefusal(apiError("invalidValue", "m")))
    assert.isTrue(isRefusal(enqueue("busy")))
  })
})
