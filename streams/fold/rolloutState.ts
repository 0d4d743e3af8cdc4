// What the events of one model's rollouts mean: which version serves, which one is to take its
// place, and what share of the requests it has. Pure; time is the events' own.
//
//     Started ─▶ loading ─ StageEntered(0) ─▶ running ─ StageEntered(1) … ─ Completed ─▶ over
//                   │                          ▲   │
//                   │                   Resumed└───┘Paused
//                   └──────────────── RolledBack ─────────────────────────▶ over
//     over ─ VersionRetired ─▶ the version that lost is unloaded; the next may start
import type { ControlChange, ControlEvent, RolloutStarted } from "../../schemas/types.ts"

export type RolloutPhase = "loading" | "running" | "paused" | "completed" | "rolledBack"

export interface RolloutState {
  readonly plan: RolloutStarted
  readonly phase: RolloutPhase
  /** Index in plan.stages; -1 while the new version loads. */
  readonly stage: number
  readonly startedAt: number
  /** Of the phase, or of the stage within it. */
  readonly since: number
  /** Why it was paused or rolled back. */
  readonly reason: string
  /** The version that no longer serves was told to go. */
  readonly retired: boolean
}

/** The version that serves, and where it lies; as its last completed rollout said. */
export interface Serving {
  readonly version: string
  readonly source: string
}

/** Percent of the requests that the new version takes. */
export const newShare = ({ phase, stage, plan }: RolloutState): number => {
  if (phase === "completed") return 100
  return phase === "rolledBack" || stage < 0 ? 0 : (plan.stages[stage] ?? 0)
}

export const isOver = ({ phase }: RolloutState): boolean =>
  phase === "completed" || phase === "rolledBack"

/** The versions that workers hold ready, the one that serves first. */
export const loadedVersions = (rollout: RolloutState): ReadonlyArray<Serving> => {
  const { plan, phase, retired } = rollout
  const old = { version: plan.from, source: plan.fromSource }
  const next = { version: plan.to, source: plan.source }
  const [serving, other] = phase === "completed" ? [next, old] : [old, next]
  return isOver(rollout) && retired ? [serving] : [serving, other]
}

const begin = (plan: RolloutStarted, at: number): RolloutState => ({
  plan,
  phase: "loading",
  stage: -1,
  startedAt: at,
  since: at,
  reason: "",
  retired: false,
})

/** A plan that nobody could follow. */
const isSound = ({ from, to, stages }: RolloutStarted): boolean =>
  from !== to &&
  stages.at(-1) === 100 &&
  stages.every((share, i) => share > (stages[i - 1] ?? 0) && share <= 100)

/** The state after the event; null: the event has no place here and is void. */
export const applyRollout = (
  state: RolloutState | null,
  { change, at }: Pick<ControlEvent, "change" | "at">,
): RolloutState | null => {
  if (change.kind === "RolloutStarted") {
    const isFree = state === null || (isOver(state) && state.retired)
    return isFree && isSound(change) ? begin(change, at) : null
  }
  if (state === null) return null
  if (change.kind === "VersionRetired") {
    if (!isOver(state) || state.retired) return null
    const lost = state.phase === "completed" ? state.plan.from : state.plan.to
    return change.version === lost ? { ...state, retired: true } : null
  }
  return isOver(state) ? null : applyToRunning(state, change, at)
}

const applyToRunning = (
  state: RolloutState,
  change: ControlChange,
  at: number,
): RolloutState | null => {
  switch (change.kind) {
    case "RolloutStageEntered": {
      const isNext = change.stage === state.stage + 1 && change.stage < state.plan.stages.length
      return isNext
        ? { ...state, phase: "running", stage: change.stage, since: at, reason: "" }
        : null
    }
    case "RolloutPaused":
      return state.phase === "running"
        ? { ...state, phase: "paused", since: at, reason: change.reason }
        : null
    case "RolloutResumed":
      return state.phase === "paused" ? { ...state, phase: "running", since: at, reason: "" } : null
    case "RolloutRolledBack":
      return { ...state, phase: "rolledBack", since: at, reason: change.reason }
    case "RolloutCompleted":
      return newShare(state) === 100 ? { ...state, phase: "completed", since: at } : null
    default:
      return null
  }
}
