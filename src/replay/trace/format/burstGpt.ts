// BurstGPT's rows, by the names of their columns: seconds since the trace's start, lengths in
// tokens. Requests that failed there (no response tokens) are requests all the same.
import type { Fields } from "../Fields.ts"
import { bareRequest, type TraceRequest } from "../Trace.ts"

export const burstGptColumns = ["Timestamp", "Request tokens", "Response tokens"]

export const burstGptHead = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"

export const fromBurstGpt = (fields: Fields): TraceRequest => ({
  ...bareRequest,
  atMs: fields.time("Timestamp") * 1000,
  promptTokens: fields.whole("Request tokens"),
  outputTokens: fields.whole("Response tokens"),
})

export const toBurstGpt = (request: TraceRequest): string => {
  const { promptTokens, outputTokens } = request
  const prompt = promptTokens ?? 0
  const output = outputTokens ?? 0
  const seconds = ((request.atMs ?? 0) / 1000).toFixed(3)
  return `${seconds},model,${prompt},${output},${prompt + output},API log`
}
