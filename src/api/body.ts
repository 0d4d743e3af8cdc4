// Reads a JSON body within bounds: of bytes, of time, of nesting. Everything that can be wrong with
// it before its fields are looked at is found here. The body's parts are never logged.
import { isUtf8 } from "node:buffer"
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import type { Limits } from "../config/Config.ts"
import { apiError, type ApiError } from "./errors.ts"

/** No honest body comes near it; parsing and answering recurse over the nesting. */
const depthMax = 64

/**
 * Fields of the body itself, and of all objects in it: each costs far more than its bytes to read.
 */
const fieldsMax = 1000
const keysMax = 100_000

const mediaTypeOf = (header: string | undefined): string =>
  (header ?? "").split(";", 1)[0]!.trim().toLowerCase()

const charsetOf = (header: string | undefined): string =>
  /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(header ?? "")?.[1]?.toLowerCase() ?? "utf-8"

const unencoded = (encoding: string | undefined): boolean =>
  encoding === undefined || encoding.trim() === "" || encoding.trim().toLowerCase() === "identity"

/** A body that need not be read to be refused. */
const checkHeaders = (req: IncomingMessage, bytesMax: number): ApiError | null => {
  const {
    "content-type": type,
    "content-encoding": encoding,
    "content-length": length,
  } = req.headers
  if (!unencoded(encoding)) {
    return apiError("encodingUnsupported", "A content-encoding is not supported: send plain JSON.")
  }
  // A browser sends other types to any origin without asking first; this one it must ask for.
  if (mediaTypeOf(type) !== "application/json" || charsetOf(type).replace("-", "") !== "utf8") {
    const message = "The body must be JSON in UTF-8 with content-type: application/json."
    return apiError("mediaUnsupported", message)
  }
  return Number(length ?? 0) > bytesMax ? tooLarge(bytesMax) : null
}

const tooLarge = (bytesMax: number): ApiError =>
  apiError("tooLarge", `The body is larger than ${bytesMax} bytes.`)

/** Leaves the rest of a refused body unread: the server drains a little of it, then closes. */
const readBytes = (
  req: IncomingMessage,
  limits: Pick<Limits, "bodyBytes" | "bodyTimeoutMs">,
): Effect.Effect<Buffer, ApiError> =>
  Effect.callback<Buffer, ApiError>((resume) => {
    const refused = checkHeaders(req, limits.bodyBytes)
    if (refused !== null) return resume(Effect.fail(refused))
    const chunks: Array<Buffer> = []
    let bytes = 0
    const settle = (outcome: Effect.Effect<Buffer, ApiError>) => {
      clearTimeout(timer)
      req.off("data", onData).off("end", onEnd).off("error", onError)
      req.pause()
      resume(outcome)
    }
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > limits.bodyBytes) return settle(Effect.fail(tooLarge(limits.bodyBytes)))
      chunks.push(chunk)
    }
    const onEnd = () =>
      settle(Effect.succeed(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    const onError = () =>
      settle(Effect.fail(apiError("malformedHttp", "The body broke off before its end.")))
    const timer = setTimeout(() => {
      const message = `The body did not arrive within ${limits.bodyTimeoutMs} ms.`
      settle(Effect.fail(apiError("bodyTimeout", message)))
    }, limits.bodyTimeoutMs)
    req.on("data", onData).on("end", onEnd).on("error", onError)
    return Effect.sync(() => clearTimeout(timer))
  })

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

export interface JsonShape {
  readonly depth: number
  readonly fields: number
  readonly keys: number
}

/** Counts without parsing: the deepest nesting, the keys of the outermost object, and all keys. */
export const jsonShape = (text: Uint8Array): JsonShape => {
  let level = 0
  let depth = 0
  let fields = 0
  let keys = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const byte = text[i]
    if (inString) {
      if (byte === backslash) i++
      else if (byte === quote) inString = false
    } else if (byte === quote) inString = true
    else if (byte === 0x5b || byte === 0x7b) depth = Math.max(depth, ++level)
    else if (byte === 0x5d || byte === 0x7d) level--
    else if (byte === colon) {
      keys++
      if (level === 1) fields++
    }
  }
  return { depth, fields, keys }
}

const checkShape = (bytes: Uint8Array): ApiError | null => {
  const { depth, fields, keys } = jsonShape(bytes)
  if (depth > depthMax) {
    const message = `The body nests arrays and objects deeper than ${depthMax} levels.`
    return apiError("invalidJson", message)
  }
  if (fields > fieldsMax || keys > keysMax) {
    const message = `The body has more than ${fieldsMax} fields, or ${keysMax} with those inside.`
    return apiError("invalidJson", message)
  }
  return null
}

/** Bytes from outside to a value; shared with the WebSocket's messages. */
export const parseJson = (bytes: Buffer): Effect.Effect<unknown, ApiError> => {
  if (bytes.length === 0) return Effect.fail(apiError("invalidJson", "The body is empty."))
  if (!isUtf8(bytes)) return Effect.fail(apiError("invalidJson", "The body is not valid UTF-8."))
  const misshapen = checkShape(bytes)
  if (misshapen !== null) return Effect.fail(misshapen)
  return Effect.try({
    try: (): unknown => JSON.parse(bytes.toString("utf8")),
    catch: (cause) => apiError("invalidJson", `The body is not valid JSON: ${jsonFault(cause)}.`),
  })
}

/** V8's sentence without the piece of the body that it quotes. */
const jsonFault = (cause: unknown): string =>
  cause instanceof SyntaxError ? cause.message.replace(/,? ?(\.{3})?".*$/s, "") : "unreadable"

export const readJson = (
  req: IncomingMessage,
  limits: Pick<Limits, "bodyBytes" | "bodyTimeoutMs">,
): Effect.Effect<unknown, ApiError> => Effect.flatMap(readBytes(req, limits), parseJson)
