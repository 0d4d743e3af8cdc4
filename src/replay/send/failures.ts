// What an error of the transport or a status means, as one of the kinds that are counted.
import { Predicate } from "effect"
import type { Failure } from "../measure/Tally.ts"

const byCode: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  UND_ERR_SOCKET: "closedEarly",
  UND_ERR_CONNECT_TIMEOUT: "unreachable",
  ETIMEDOUT: "unreachable",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  ENOTFOUND: "unreachable",
  EAI_AGAIN: "unreachable",
  EADDRNOTAVAIL: "unsent",
  EMFILE: "unsent",
  UND_ERR_HEADERS_TIMEOUT: "timeout",
  UND_ERR_BODY_TIMEOUT: "stalled",
  UND_ERR_HEADERS_OVERFLOW: "oversized",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "closedEarly",
}

export interface Failed {
  readonly failure: Failure
  readonly detail: string
}

export const failureOf = (error: unknown): Failed => {
  const code = Predicate.hasProperty(error, "code") ? String(error.code) : ""
  const message = error instanceof Error ? error.message : String(error)
  const detail = code === "" ? message : `${code}: ${message}`
  const isParsers = error instanceof Error && error.name === "HTTPParserError"
  if (isParsers || code.startsWith("HPE_")) return { failure: "malformed", detail }
  return { failure: byCode[code] ?? "reset", detail }
}

/** null: a success. */
export const failureOfStatus = (status: number): Failure | null => {
  if (status >= 200 && status < 300) return null
  if (status === 429) return "tooManyRequests"
  if (status === 503) return "unavailable"
  if (status >= 500) return "serverError"
  return status >= 400 ? "rejected" : "redirected"
}

export const contentTypeWanted = (stream: boolean) =>
  stream ? "text/event-stream" : "application/json"
