// What a reader of a Durable Stream asks for: from where, and whether to wait for more.
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import { apiError, type ApiError } from "../../errors.ts"

export interface DurableAsk {
  /** A cursor; "now": where the stream stands. */
  readonly from: number | "now"
  readonly live: "long-poll" | "sse" | null
  /** The Stream-Cursor that the reader had last. */
  readonly streamCursor: number
}

const wrong = (param: string, allowed: string) =>
  Effect.fail(apiError("invalidValue", `${param} must be ${allowed}.`, { param }))

const parseOffset = (offset: string | null): Effect.Effect<number | "now", ApiError> => {
  if (offset === null || offset === "-1") return Effect.succeed(0)
  if (offset === "now") return Effect.succeed(offset)
  if (/^\d{1,16}$/.test(offset)) return Effect.succeed(Number(offset))
  return wrong("offset", '"-1", "now" or an offset as Stream-Next-Offset gave it')
}

export const parseAsk = Effect.fnUntraced(function* (
  req: IncomingMessage,
): Effect.fn.Return<DurableAsk, ApiError> {
  const query = new URL(req.url ?? "/", "http://localhost").searchParams
  const offsets = query.getAll("offset")
  const live = query.get("live")
  if (offsets.length > 1) return yield* wrong("offset", "given once")
  if (live !== null && live !== "long-poll" && live !== "sse") {
    return yield* wrong("live", '"long-poll" or "sse"')
  }
  const [offset = null] = offsets
  if (live !== null && offset === null) return yield* wrong("offset", "given with live")
  const streamCursor = query.get("cursor") ?? ""
  return {
    from: yield* parseOffset(offset),
    live,
    streamCursor: /^\d{1,15}$/.test(streamCursor) ? Number(streamCursor) : -1,
  }
})

const cursorStepMs = 20_000

/** Readers that wait for the same share a cursor, and so a cache's answer; it only ever rises. */
export const nextStreamCursor = (nowMs: number, ask: DurableAsk): string =>
  String(Math.max(Math.floor(nowMs / cursorStepMs), ask.streamCursor + 1))
