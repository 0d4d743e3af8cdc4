// API keys as a file or a variable gives them: a list of objects, or "key, tenant:key". A key that
// names no rate or deadline has the general one.
import { Schema } from "effect"
import type { ApiKey } from "./Config.ts"
import { type Setting, setting } from "./setting.ts"

const positive = Schema.Int.check(Schema.isGreaterThan(0))

/** As limits.requestTimeoutMs. */
const timeout = Schema.Int.check(Schema.isBetween({ minimum: 100, maximum: 24 * 3_600_000 }))

const Entries = Schema.Array(
  Schema.Struct({
    key: Schema.NonEmptyString,
    tenant: Schema.optionalKey(Schema.NonEmptyString),
    requestsPerSecond: Schema.optionalKey(positive),
    burst: Schema.optionalKey(positive),
    requestTimeoutMs: Schema.optionalKey(timeout),
  }),
)

type Entry = (typeof Entries)["Type"][number]

const entry = (text: string) => {
  const cut = text.indexOf(":")
  return cut < 0 ? { key: text } : { tenant: text.slice(0, cut), key: text.slice(cut + 1) }
}

const fromText = (given: string) =>
  given === "" ? [] : given.split(",").map((item) => entry(item.trim()))

export const apiKeys: Setting<ReadonlyArray<Entry>> = {
  ...setting<ReadonlyArray<Entry>>("apiKeys", {
    schema: Entries,
    fallback: [],
    expects:
      'a list of { key, tenant, requestsPerSecond, burst, requestTimeoutMs }, or "key, tenant:key"',
    about: "Who may call; none: anybody on loopback.",
    fromText,
  }),
  secret: true,
}

/** A key's entry with its tenant, where it named none. */
export const fullKey = (given: Entry, index: number): ApiKey => ({
  ...given,
  tenant: given.tenant ?? `key-${index + 1}`,
})
