// A rollout as most tests want it: three stages, times that no test waits for.
import type { ControlChange } from "../../schemas/types.ts"

export const rolloutStarted = {
  kind: "RolloutStarted",
  model: "m",
  from: "1",
  to: "2",
  fromSource: "/models/m/1",
  source: "/models/m/2",
  stages: [10, 50, 100],
  stageMs: 300_000,
  windowMs: 60_000,
  graceMs: 600_000,
} satisfies ControlChange
