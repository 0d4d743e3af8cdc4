// Settings changed while processes run: set, looked up, taken back. A value is checked before it is
// written; going back is a change of its own, so that history only grows.
import { Effect, Result } from "effect"
import type { ControlEvent } from "../../schemas/types.ts"
import { settingEntity } from "../../streams/fold/controlState.ts"
import { checkChange } from "../config/live.ts"
import { Control, ControlError } from "./Control.ts"

const changeSetting = (key: string, value: string | null, by: string) =>
  Effect.flatMap(Control, ({ decide }) =>
    decide({ entity: settingEntity(key), change: { kind: "SettingChanged", key, value }, by }),
  )

export const setSetting = Effect.fn("Settings.set")(function* (
  key: string,
  raw: unknown,
  by: string,
) {
  const checked = checkChange(key, raw)
  if (Result.isFailure(checked)) {
    return yield* new ControlError({ reason: "refused", message: `${checked.failure}.` })
  }
  return yield* changeSetting(key, checked.success, by)
})

export interface SettingVersion {
  readonly eventId: string
  readonly at: number
  readonly by: string
  /** As JSON; null: what each process's own configuration says. */
  readonly value: string | null
}

const versionOf = ({ eventId, at, by, change }: ControlEvent): ReadonlyArray<SettingVersion> =>
  change.kind === "SettingChanged" ? [{ eventId, at, by, value: change.value }] : []

/** The oldest first. */
export const settingHistory = (key: string) =>
  Effect.map(Control, ({ state }) => state.history(settingEntity(key)).flatMap(versionOf))

/** To the value that was in force before the last change, or after the one that is named. */
export const rollbackSetting = Effect.fn("Settings.rollback")(function* (
  key: string,
  to: string | null,
  by: string,
) {
  const versions = yield* settingHistory(key)
  if (versions.length === 0) {
    const message = `${key} was never changed: there is nothing to go back to.`
    return yield* new ControlError({ reason: "notThere", message })
  }
  const named = to === null ? versions.at(-2) : versions.find(({ eventId }) => eventId === to)
  if (to !== null && named === undefined) {
    const message = `${key} has no change ${to}; \`sluice config history ${key}\` lists them.`
    return yield* new ControlError({ reason: "notThere", message })
  }
  return yield* changeSetting(key, named?.value ?? null, by)
})
