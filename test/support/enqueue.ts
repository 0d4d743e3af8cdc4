// A worker's status with plain values, and a request as a client asked for it.
import type { RequestAccepted, WorkerStatus } from "../../schemas/types.ts"
import type { RequestDraft } from "../../src/enqueue/Enqueue.ts"
import { plainAnswer, plainSampling } from "./requestParts.ts"

export const workerStatus = (change: Partial<WorkerStatus> = {}): WorkerStatus => ({
  workerId: "w1",
  at: 1_000,
  model: "tales-11m",
  version: "1",
  state: "ready",
  partitions: [],
  slotsFree: 8,
  slots: 8,
  blocksFree: 100,
  blocks: 100,
  requestsRunning: 0,
  requestsWaiting: 0,
  tokensOutstanding: 0,
  tokensPerSecond: 0,
  stalledMs: 0,
  device: "scripted",
  ...change,
})

export const requestDraft = (change: Partial<RequestDraft> = {}): RequestDraft => ({
  requestId: "req-0192f0c1a2b37c4d8e5f60718293a4b5",
  model: "tales-11m",
  tier: "default",
  tenant: "",
  dialect: "completions",
  promptCacheKey: null,
  grammar: null,
  tools: null,
  textFormat: null,
  prompts: [[0, 5, 6, 7]],
  n: 1,
  sampling: { ...plainSampling, temperature: 1, seed: 1 },
  answer: plainAnswer,
  traceparent: null,
  timeoutMs: null,
  idempotency: null,
  ...change,
})

export const acceptedRequest = (change: Partial<RequestAccepted> = {}): RequestAccepted => {
  const { timeoutMs, idempotency: _, ...draft } = requestDraft()
  const deadline = 4_000_000_000_000 + (timeoutMs ?? 0)
  return { ...draft, version: "1", acceptedAt: 0, deadline, ...change }
}
