// One HTTP request after its caller is known: what handlers work with, and how they answer.
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import { Config } from "../config/Config.ts"
import type { Idempotency } from "../enqueue/keys.ts"
import { ModelCatalog } from "../enqueue/ModelCatalog.ts"
import { Grammars } from "../tokenizer/Grammars.ts"
import { Tokenizer } from "../tokenizer/Tokenizer.ts"
import type { Exchange } from "./answer/Exchange.ts"
import { type ApiError, apiError } from "./errors.ts"
import type { ParseContext } from "./parse/context.ts"
import { timeoutSecondsMax } from "./parse/fields.ts"

export interface Call {
  readonly exchange: Exchange
  /** Made before admission; the x-request-id of the answer. */
  readonly requestId: string
  readonly tenant: string
  /** The deadline of its key's requests; null: the general one. */
  readonly timeoutMs: number | null
  readonly params: Readonly<Record<string, string | undefined>>
  /** Adds a fact to the request's log line: never text, keys or prompts. */
  readonly note: (name: string, value: string | number) => void
}

/** x-request-timeout: how many seconds from now the answer is worth waiting for. */
const parseTimeout = (
  header: string | ReadonlyArray<string> | undefined,
): Effect.Effect<number | null, ApiError> => {
  if (header === undefined) return Effect.succeed(null)
  const seconds = typeof header === "string" && /^\d+(\.\d+)?$/.test(header) ? Number(header) : 0
  if (seconds > 0 && seconds <= timeoutSecondsMax) {
    return Effect.succeed(Math.max(1, Math.round(seconds * 1000)))
  }
  const message = `x-request-timeout must be seconds, above 0 and up to ${timeoutSecondsMax}.`
  return Effect.fail(apiError("invalidValue", message, { param: "x-request-timeout" }))
}

/** x-cancel-on-disconnect: what becomes of the request when this connection breaks. */
const parseCancelOnDisconnect = (
  header: string | ReadonlyArray<string> | undefined,
): Effect.Effect<boolean | null, ApiError> => {
  if (header === undefined) return Effect.succeed(null)
  if (header === "true" || header === "false") return Effect.succeed(header === "true")
  const param = "x-cancel-on-disconnect"
  return Effect.fail(apiError("invalidValue", `${param} must be true or false.`, { param }))
}

/** W3C trace context; anything else is dropped, as the standard asks. */
const parseTraceparent = (header: string | ReadonlyArray<string> | undefined): string | null =>
  typeof header === "string" && /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(header)
    ? header
    : null

export const parseContext = Effect.fnUntraced(function* (
  req: IncomingMessage,
  { requestId, tenant, timeoutMs }: Pick<Call, "requestId" | "tenant" | "timeoutMs">,
  idempotency: Idempotency | null = null,
): Effect.fn.Return<ParseContext, ApiError, Config | Tokenizer | ModelCatalog> {
  const { headers } = req
  const { limits } = yield* Config
  const { served } = yield* ModelCatalog
  return {
    caller: {
      requestId,
      tenant,
      timeoutMs: (yield* parseTimeout(headers["x-request-timeout"])) ?? timeoutMs,
      cancelOnDisconnect:
        (yield* parseCancelOnDisconnect(headers["x-cancel-on-disconnect"])) ??
        limits.cancelOnDisconnect,
      traceparent: parseTraceparent(headers["traceparent"]),
      idempotency,
    },
    limits,
    tokenizer: yield* Tokenizer,
    grammars: yield* Grammars,
    model: served,
  }
})

const json = "application/json; charset=utf-8"

export const writeText = (
  res: ServerResponse,
  text: string,
  options: { readonly status?: number; readonly type?: string } = {},
): void => {
  res.writeHead(options.status ?? 200, {
    "content-type": options.type ?? "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(text),
  })
  res.end(text)
}

export const writeJson = (res: ServerResponse, value: unknown, status = 200): void =>
  writeText(res, JSON.stringify(value), { status, type: json })
