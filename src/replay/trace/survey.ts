// A look through a whole trace before it is used: it proves that every line can be read, and counts
// what a replay must know ahead. Takes one pass and no memory to speak of.
import type { Format } from "./Trace.ts"
import { TraceError } from "./Trace.ts"
import { openTrace } from "./openTrace.ts"

export interface Survey {
  readonly format: Format
  readonly requests: number
  /** From the first arrival to the last; 0 where the format has no times. */
  readonly spanMs: number
  readonly hasTimes: boolean
  readonly promptTokensMax: number
  readonly outputTokensMax: number
  readonly withAnswers: number
}

export const surveyTrace = (file: string, named: Format | null): Survey | TraceError => {
  const trace = openTrace(file, named)
  if (trace instanceof TraceError) return trace
  let requests = 0
  let spanMs = 0
  let hasTimes = false
  let promptTokensMax = 0
  let outputTokensMax = 0
  let withAnswers = 0
  for (;;) {
    const request = trace.next()
    if (request === null) break
    if (request instanceof TraceError) {
      trace.close()
      return request
    }
    requests++
    hasTimes ||= request.atMs !== null
    spanMs = request.atMs ?? spanMs
    promptTokensMax = Math.max(promptTokensMax, request.promptTokens ?? 0)
    outputTokensMax = Math.max(outputTokensMax, request.outputTokens ?? 0)
    if (request.answer !== null) withAnswers++
  }
  trace.close()
  if (requests === 0) {
    return new TraceError({ reason: "empty", file, line: 0, detail: "it has no requests" })
  }
  const { format } = trace
  return { format, requests, spanMs, hasTimes, promptTokensMax, outputTokensMax, withAnswers }
}
