// What can be wrong with the schema registry, in sentences that say what to do.
import { Schema } from "effect"

export class RegistryError extends Schema.TaggedError<RegistryError>()("RegistryError", {
  reason: Schema.Literals(["unreachable", "notRegistered", "incompatible", "refused"]),
  message: Schema.String,
}) {}

/** A URL without what it may say of a user. */
export const shownUrl = (url: string): string => {
  const parsed = URL.parse(url)
  if (parsed === null) return "the configured URL"
  parsed.username = ""
  parsed.password = ""
  return parsed.href
}
