// The rollouts as far as this process has read, for whoever routes by them. Where nobody provides
// them there are none.
import { Context, Effect, Layer } from "effect"
import type { RolloutState } from "../../../streams/fold/rolloutState.ts"
import { Control } from "../Control.ts"

export const Rollouts = Context.Reference<{
  /** The newest of the model; null: there was none. */
  readonly of: (model: string) => RolloutState | null
}>("sluice/control/Rollouts", { defaultValue: () => ({ of: () => null }) })

export const layerRollouts = Layer.effect(
  Rollouts,
  Effect.map(Control, ({ state }) => ({ of: (model) => state.rollout(model) })),
)
