// Which process this is, and whether another one is gone for certain. A pid says nothing about a
// process of another host or container, even on the same folder: such a one is judged by its
// heartbeats alone.
import { readlinkSync } from "node:fs"
import { hostname } from "node:os"
import { Result } from "effect"
import type { ProcessPlace } from "./groupState.ts"

/** The pid namespace where the system has them: containers of one host differ in it. */
const hostOf = (): string => {
  const namespace = Result.try(() => readlinkSync("/proc/self/ns/pid"))
  return `${hostname()} ${Result.isSuccess(namespace) ? namespace.success : ""}`
}

export const here: ProcessPlace = { host: hostOf(), pid: process.pid }

/** A process that exists but is another user's answers EPERM: it lives. */
export const isGone = ({ host, pid }: ProcessPlace): boolean => {
  if (host !== here.host) return false
  const probe = Result.try(() => process.kill(pid, 0))
  if (Result.isSuccess(probe)) return false
  const error = probe.failure
  return error instanceof Error && "code" in error && error.code === "ESRCH"
}
