// On what and with which sources a report was made.
import { spawnSync } from "node:child_process"
import { availableParallelism, cpus } from "node:os"
import { projectRoot } from "../support/shared.ts"

export const commitNow = (): string => {
  const { stdout } = spawnSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: projectRoot,
    encoding: "utf8",
  })
  const commit = String(stdout ?? "").trim()
  return commit === "" ? "unknown" : commit
}

export const deviceHere = (): string =>
  `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? "an unknown CPU"}`
