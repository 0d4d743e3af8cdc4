// The newest status of each worker of one model, whatever its version, and what it says of a
// partition: who owns it and whether that owner is well. Pure but for the records it is given; time
// comes as an argument.
import type { WorkerStatus } from "../../schemas/types.ts"

/** Heartbeats come each second; a worker that was silent for so long counts as gone. */
const silentMsMax = 10_000
/** A worker with queued work that finished no step for so long is stalled. */
const stalledMsMax = 5_000
/** Workers that are remembered; the longest silent goes first. */
const workersMax = 4_096

export interface WorkerStates {
  readonly take: (status: WorkerStatus) => void
  readonly live: (nowMs: number) => ReadonlyArray<WorkerStatus>
  /** A worker of this version takes requests. */
  readonly isReady: (version: string, nowMs: number) => boolean
  /** Of "topic/partition". */
  readonly owner: (partition: string, nowMs: number) => WorkerStatus | null
  /** When a live worker was last heard of; the start before the first. */
  readonly lastHeardAt: () => number
}

export const makeWorkerStates = (model: string, startedAtMs: number): WorkerStates => {
  const workers = new Map<string, WorkerStatus>()
  let owners = new Map<string, WorkerStatus>()
  let lastHeardAt = startedAtMs

  const isLive = (status: WorkerStatus, nowMs: number) =>
    status.state !== "stopped" && nowMs - status.at <= silentMsMax

  const take = (status: WorkerStatus) => {
    if (status.model !== model) return
    workers.delete(status.workerId)
    if (status.state !== "stopped") {
      workers.set(status.workerId, status)
      lastHeardAt = Math.max(lastHeardAt, status.at)
    }
    for (const oldest of workers.keys()) {
      if (workers.size <= workersMax) break
      workers.delete(oldest)
    }
    owners = new Map()
    for (const worker of workers.values()) {
      for (const partition of worker.partitions) owners.set(partition, worker)
    }
  }

  return {
    take,
    lastHeardAt: () => lastHeardAt,
    live: (nowMs) => [...workers.values()].filter((status) => isLive(status, nowMs)),
    isReady: (version, nowMs) => {
      for (const status of workers.values()) {
        const isWanted = status.version === version && status.state === "ready"
        if (isWanted && isLive(status, nowMs)) return true
      }
      return false
    },
    owner: (partition, nowMs) => {
      const status = owners.get(partition)
      return status !== undefined && isLive(status, nowMs) ? status : null
    },
  }
}

/** Ready, and steps are finished while work is queued. */
export const isWell = (status: WorkerStatus): boolean =>
  status.state === "ready" && status.stalledMs < stalledMsMax

/** No slot is free, or somebody waits for one. */
export const isSaturated = (workers: ReadonlyArray<WorkerStatus>): boolean =>
  workers.every((worker) => worker.slotsFree <= 0 || worker.requestsWaiting > 0)
