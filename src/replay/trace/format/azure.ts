// Azure's public LLM traces: a row for each request with a wall clock time of up to nine fractional
// digits, with a zone (2024) or without one (2023: UTC), and lengths in tokens.
import type { Fields } from "../Fields.ts"
import { bareRequest, type TraceRequest } from "../Trace.ts"

export const azureColumns = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]

const pattern =
  /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.](\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d))?$/

/** ms since the epoch with its fraction; null where it is no time. */
export const wallClockMs = (text: string): number | null => {
  const found = pattern.exec(text)
  if (found === null) return null
  const [, year, month, day, hour, minute, second, fraction = "0", sign, zoneHour, zoneMinute] =
    found
  const date = Date.UTC(+(year ?? 0), +(month ?? 0) - 1, +(day ?? 0))
  const clock = +(hour ?? 0) * 3600 + +(minute ?? 0) * 60 + +(second ?? 0)
  const isDay = new Date(date).getUTCDate() === +(day ?? 0)
  if (!isDay || +(hour ?? 0) > 23 || +(minute ?? 0) > 59 || +(second ?? 0) > 60) return null
  const zone = (sign === "-" ? -1 : 1) * (+(zoneHour ?? 0) * 3600 + +(zoneMinute ?? 0) * 60)
  return date + (clock - zone) * 1000 + Number(`0.${fraction}`) * 1000
}

export const fromAzure = (fields: Fields): TraceRequest => {
  const atMs = wallClockMs(fields.text("TIMESTAMP"))
  if (atMs === null) fields.wrong("TIMESTAMP", "a time such as 2023-11-16 18:15:46.6805900", 0)
  return {
    ...bareRequest,
    atMs: atMs ?? 0,
    promptTokens: fields.whole("ContextTokens"),
    outputTokens: fields.whole("GeneratedTokens"),
  }
}

const fractionDigits = 7

export const toAzure = (request: TraceRequest): string => {
  const ms = request.atMs ?? 0
  const whole = new Date(Math.floor(ms)).toISOString()
  const parts = Math.floor(((ms / 1000) % 1) * 10 ** fractionDigits)
  const fraction = String(parts).padStart(fractionDigits, "0")
  const time = `${whole.slice(0, 10)} ${whole.slice(11, 19)}.${fraction}`
  return `${time},${request.promptTokens ?? 0},${request.outputTokens ?? 0}`
}
