// What happens next in a rollout, from its state, the clock and what was found out about it. Pure:
// whoever decides, and however often, decides the same; the log takes the first.
import type { ControlChange } from "../../../schemas/types.ts"
import { newShare, type RolloutState } from "../../../streams/fold/rolloutState.ts"

/** A version that no worker has loaded by then never will be. */
const loadMsMax = 30 * 60_000

export interface Findings {
  readonly nowMs: number
  /** A worker of the new version is ready. */
  readonly isLoaded: boolean
  /** Why the new version must go back; null: nothing is known against it. */
  readonly fault: string | null
  /** Every window of the stage that is over was judged. */
  readonly isJudged: boolean
  /** The version that no longer serves has no request left. */
  readonly isDrained: boolean
}

/** null: nothing, for now. */
export const decide = (rollout: RolloutState, findings: Findings): ControlChange | null => {
  const { phase, plan, since, retired } = rollout
  const lastedMs = findings.nowMs - since
  switch (phase) {
    case "loading":
      if (findings.isLoaded) return { kind: "RolloutStageEntered", stage: 0 }
      return lastedMs < loadMsMax ? null : back("no worker had loaded it in time")
    case "running":
      if (findings.fault !== null) return back(findings.fault)
      if (lastedMs < plan.stageMs || !findings.isJudged) return null
      return promotion(rollout)
    case "paused":
      return findings.fault === null ? null : back(findings.fault)
    case "completed":
      if (retired || lastedMs < plan.graceMs || !findings.isDrained) return null
      return { kind: "VersionRetired", version: plan.from }
    case "rolledBack":
      if (retired || !findings.isDrained) return null
      return { kind: "VersionRetired", version: plan.to }
  }
}

const back = (reason: string): ControlChange => ({ kind: "RolloutRolledBack", reason })

/** To the next stage, or from the last one to the end. */
export const promotion = (rollout: RolloutState): ControlChange =>
  newShare(rollout) === 100
    ? { kind: "RolloutCompleted", reason: "" }
    : { kind: "RolloutStageEntered", stage: rollout.stage + 1 }
