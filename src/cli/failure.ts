// Why a process could not start or go on, as one sentence. What is expected to go wrong (a port in
// use, a folder that cannot be written, a model that is none) carries its own message; anything
// else is a fault of Sluice and is shown whole.
import { Cause, Predicate } from "effect"

const codeOf = (error: unknown): string | null => {
  let inner: unknown = error
  // Errors of libraries wrap the one of the system; a chain longer than this is no chain.
  for (let depth = 0; depth < 8 && Predicate.isObject(inner); depth++) {
    if (Predicate.hasProperty(inner, "code") && typeof inner.code === "string") return inner.code
    inner = Predicate.hasProperty(inner, "cause") ? inner.cause : undefined
  }
  return null
}

export interface Place {
  readonly host: string
  readonly port: number
}

const bySystemCode = (code: string | null, { host, port }: Place): string | null => {
  switch (code) {
    case "EADDRINUSE":
      return `${host}:${port} is in use by another process; choose another with --port.`
    case "EACCES":
      return `${host}:${port} may not be opened by this user; choose a --port above 1023.`
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `this machine has no address ${host}; choose another with --host.`
    default:
      return null
  }
}

export const failureMessage = (cause: Cause.Cause<unknown>, place: Place): string => {
  const error = Cause.squash(cause)
  const known = bySystemCode(codeOf(error), place)
  if (known !== null) return known
  const expected = cause.reasons.some(Cause.isFailReason)
  if (expected && Predicate.hasProperty(error, "message")) return String(error.message)
  return `a fault in Sluice, please report it:\n${Cause.pretty(cause)}`
}

export const failureSentence = (cause: Cause.Cause<unknown>, place: Place): string =>
  `sluice: ${failureMessage(cause, place)}`
