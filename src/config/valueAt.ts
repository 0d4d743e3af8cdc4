// The value of a setting in a configuration, by the setting's dotted key.
import { Predicate } from "effect"

export const valueAt = (config: unknown, key: string): unknown =>
  key
    .split(".")
    .reduce<unknown>(
      (value, part) => (Predicate.hasProperty(value, part) ? value[part] : undefined),
      config,
    )
