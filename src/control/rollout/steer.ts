// What an operator may do with rollouts: start one, promote it, let it stand, take it back. What
// cannot be done is refused with the state that it is in; what was decided at the same time by
// somebody else, with the request to look again.
import { Effect } from "effect"
import type { ControlChange, RolloutStarted } from "../../../schemas/types.ts"
import { rolloutEntity } from "../../../streams/fold/controlState.ts"
import { isOver, newShare, type RolloutState } from "../../../streams/fold/rolloutState.ts"
import { Control, ControlError } from "../Control.ts"
import { promotion } from "./decide.ts"

const refuse = (message: string) => new ControlError({ reason: "refused", message })

export const phaseText = (rollout: RolloutState): string => {
  const { phase, plan, retired, reason } = rollout
  const why = reason === "" ? "" : ` (${reason})`
  switch (phase) {
    case "loading":
      return `version ${plan.to} is being loaded`
    case "running":
    case "paused":
      return `version ${plan.to} takes ${newShare(rollout)} %, ${phase}${why}`
    case "completed":
      return `version ${plan.to} serves${retired ? "" : `; ${plan.from} is kept for a while`}`
    case "rolledBack":
      return `version ${plan.from} serves again${why}${retired ? "" : `; ${plan.to} runs out`}`
  }
}

/** The version that serves now, and from where; null: each process's own. */
export const servingOf = (rollout: RolloutState | null) => {
  if (rollout === null) return null
  const { plan, phase } = rollout
  return phase === "completed"
    ? { version: plan.to, source: plan.source }
    : { version: plan.from, source: plan.fromSource }
}

export const startRollout = Effect.fn("Rollout.start")(function* (
  plan: RolloutStarted,
  by: string,
) {
  const { state, decide } = yield* Control
  const { model, from, to, windowMs, stageMs } = plan
  const now = state.rollout(model)
  if (from === to) return yield* refuse(`version ${to} of ${model} serves already.`)
  if (now !== null && !isOver(now)) {
    return yield* refuse(`a rollout of ${model} is under way: ${phaseText(now)}.`)
  }
  if (now !== null && !now.retired) {
    const message = `the last rollout of ${model} is not cleared yet: ${phaseText(now)}.`
    return yield* refuse(message)
  }
  if (windowMs > stageMs) return yield* refuse("a window is no longer than a stage.")
  return yield* decide({ entity: rolloutEntity(model), change: plan, by })
})

export type RolloutAction = "promote" | "pause" | "resume" | "rollback"

const changeOf = (action: RolloutAction, rollout: RolloutState): ControlChange | null => {
  const { phase } = rollout
  const isMoving = phase === "running" || phase === "paused"
  switch (action) {
    case "promote":
      return isMoving ? promotion(rollout) : null
    case "pause":
      return phase === "running" ? { kind: "RolloutPaused", reason: "asked for" } : null
    case "resume":
      return phase === "paused" ? { kind: "RolloutResumed", reason: "" } : null
    case "rollback":
      return isOver(rollout) ? null : { kind: "RolloutRolledBack", reason: "asked for" }
  }
}

export const steerRollout = Effect.fn("Rollout.steer")(function* (
  model: string,
  action: RolloutAction,
  by: string,
) {
  const { state, decide } = yield* Control
  const rollout = state.rollout(model)
  if (rollout === null) {
    const message = `there is no rollout of ${model}; \`sluice rollout start\` begins one.`
    return yield* new ControlError({ reason: "notThere", message })
  }
  const change = changeOf(action, rollout)
  if (change === null) return yield* refuse(`${action} does not apply: ${phaseText(rollout)}.`)
  yield* decide({ entity: rolloutEntity(model), change, by })
  return state.rollout(model) ?? rollout
})
