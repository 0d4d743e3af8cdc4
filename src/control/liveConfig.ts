// The configuration as the control log changes it: the same object all the time, whose live parts
// are what is in force when they are read. Who keeps a part keeps what was in force then.
import { Effect, Layer } from "effect"
import { Config, type ConfigShape } from "../config/Config.ts"
import { withChanges } from "../config/live.ts"
import { Control } from "./Control.ts"

/** `own`, with the live parts of what is in force at the time. */
const following = (own: ConfigShape, inForce: () => ConfigShape): ConfigShape => ({
  ...own,
  get apiKeys() {
    return inForce().apiKeys
  },
  get rate() {
    return inForce().rate
  },
  get limits() {
    return inForce().limits
  },
  get tiers() {
    return inForce().tiers
  },
  get prices() {
    return inForce().prices
  },
})

/** The configuration of a worker of another version, as live as this one. */
export const withVersion = (
  config: ConfigShape,
  { version, source }: { readonly version: string; readonly source: string },
): ConfigShape => following({ ...config, modelVersion: version, model: source }, () => config)

export const layerLiveConfig = Layer.effect(
  Config,
  Effect.gen(function* () {
    const own = yield* Config
    const { state, onCounted } = yield* Control
    let inForce = withChanges(own, state.settings)
    onCounted(({ change }) => {
      if (change.kind === "SettingChanged") inForce = withChanges(own, state.settings)
    })
    return following(own, () => inForce)
  }),
)
