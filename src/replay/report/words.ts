// Objectives as a person writes them.
import type { Objectives } from "../measure/objectives.ts"
import { showMs } from "./summary.ts"

const parts = ({ ttftMs, itlMs, gapMs, e2eMs }: Objectives) =>
  (
    [
      ["ttft", ttftMs],
      ["itl", itlMs],
      ["gap", gapMs],
      ["e2e", e2eMs],
    ] as const
  ).flatMap(([name, ms]) => (ms === null ? [] : [`${name} ${showMs(ms)}`]))

export const hasObjectives = (objectives: Objectives): boolean => parts(objectives).length > 0

export const objectivesText = (objectives: Objectives): string => parts(objectives).join(", ")
