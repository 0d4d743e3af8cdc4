// How much of a core another process has used, by what the kernel counts.
import { readFileSync } from "node:fs"

const clockTicksPerSecond = 100

/** CPU seconds of a process so far; NaN where the system does not say. */
export const cpuSeconds = (pid: number): number => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond
  } catch {
    return Number.NaN
  }
}

/** Cores that a process keeps busy over so long. */
export const coresOf = async (pid: number, ms: number): Promise<number> => {
  const before = cpuSeconds(pid)
  const began = performance.now()
  await new Promise((resolve) => setTimeout(resolve, ms))
  return ((cpuSeconds(pid) - before) / (performance.now() - began)) * 1000
}
