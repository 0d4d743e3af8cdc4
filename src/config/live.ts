// Which settings may change while processes run, what a new value must be, and a configuration with
// such changes. A value that is wrong is refused here, before anybody writes it down; one that this
// process cannot read all the same (a newer version wrote it) changes nothing.
import { createHash } from "node:crypto"
import { Option, Predicate, Result } from "effect"
import type { ConfigShape } from "./Config.ts"
import type { Setting } from "./setting.ts"
import { allSettings, readSettings } from "./settings.ts"
import { didYouMean } from "./suggest.ts"
import { valueAt } from "./valueAt.ts"

/** Everything else is read once, at a start. */
const liveKeys: ReadonlyArray<string> = [
  "apiKeys",
  "rate.requestsPerSecond",
  "rate.burst",
  "limits.promptsMax",
  "limits.choicesMax",
  "limits.stopStringsMax",
  "limits.logprobsMax",
  "limits.socketRequestsMax",
  "limits.subscriberBytes",
  "limits.keysMax",
  "limits.requestTimeoutMs",
  "limits.cancelOnDisconnect",
  "tiers.priority",
  "tiers.default",
  "tiers.flex",
  "prices.promptPerMillion",
  "prices.completionPerMillion",
]

export const liveSettings = allSettings.filter(({ key }) => liveKeys.includes(key))

/** The value as JSON, ready to be written down; or why not. */
export const checkChange = (key: string, raw: unknown): Result.Result<string, string> => {
  const setting = liveSettings.find((one) => one.key === key)
  if (setting === undefined) return Result.fail(notLive(key))
  const decoded = setting.decode(raw)
  if (Option.isNone(decoded)) return Result.fail(`${key} must be ${setting.expects}`)
  if (key === "apiKeys" && Array.isArray(decoded.value) && decoded.value.length === 0) {
    return Result.fail("apiKeys must name one key at least; without any, everybody may call")
  }
  return Result.succeed(JSON.stringify(withoutKeys(decoded.value)))
}

const notLive = (key: string): string => {
  if (allSettings.some((setting) => setting.key === key)) {
    return `${key} is read at a start only: change it in sluice.yaml, and restart`
  }
  const known = `these may change: ${liveKeys.join(", ")}`
  return `unknown setting "${key}"${didYouMean(key, liveKeys)}; ${known}`
}

const digest = (key: string) => `sha256:${createHash("sha256").update(key).digest("hex")}`

export const isDigest = (key: string): boolean => /^sha256:[\da-f]{64}$/.test(key)

/** Keys of clients are written down as digests: who reads the log can use none. */
const withoutKeys = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map((entry: unknown) =>
        Predicate.hasProperty(entry, "key") && typeof entry.key === "string" && !isDigest(entry.key)
          ? { ...entry, key: digest(entry.key) }
          : entry,
      )
    : value

const parsed = (text: string | undefined): unknown =>
  text === undefined
    ? undefined
    : Result.getOrElse(
        Result.try((): unknown => JSON.parse(text)),
        () => undefined,
      )

/** The configuration with changes, each setting's value as JSON; only live ones are taken. */
export const withChanges = (
  config: ConfigShape,
  changes: ReadonlyMap<string, string>,
): ConfigShape => {
  const get = <A>(setting: Setting<A>): A => {
    const change = liveKeys.includes(setting.key) ? parsed(changes.get(setting.key)) : undefined
    const changed = change === undefined ? Option.none<A>() : setting.decode(change)
    if (Option.isSome(changed)) return changed.value
    return Option.getOrElse(setting.decode(valueAt(config, setting.key)), () => setting.fallback)
  }
  const { apiKeys, rate, limits, tiers, prices } = readSettings(get)
  return { ...config, apiKeys, rate, limits, tiers, prices }
}
