// What vLLM's benchmark reads and writes: a custom data set (JSON lines with a prompt, and the
// output's length where known), and the detailed result of a run (one object with a list for each
// fact), from which lengths and, where it has them, start times are taken.
import type { Fields } from "../Fields.ts"
import { bareRequest, type TraceRequest } from "../Trace.ts"
import { promptText } from "./promptText.ts"

export const fromVllm = (fields: Fields): TraceRequest => ({
  ...bareRequest,
  prompt: { kind: "text", text: fields.text("prompt") },
  promptTokens: fields.wholeOrNull("prompt_len"),
  outputTokens: fields.wholeOrNull("output_tokens") ?? fields.wholeOrNull("output_len"),
})

export const toVllm = (request: TraceRequest): string =>
  JSON.stringify({
    prompt: promptText(request),
    prompt_len: request.promptTokens,
    output_tokens: request.outputTokens,
  })

/** A whole run; null where the lists disagree. */
export const fromVllmResult = (fields: Fields): ReadonlyArray<TraceRequest> => {
  const inputs = fields.ids("input_lens")
  const outputs = fields.ids("output_lens")
  if (inputs.length !== outputs.length) {
    fields.fail("wrongValue", "input_lens and output_lens must have the same length")
  }
  const starts = fields.has("start_times") ? fields.list("start_times").map(Number) : null
  const first = starts?.[0] ?? 0
  if (starts !== null && !starts.every(Number.isFinite)) {
    fields.fail("wrongValue", "start_times must be an array of numbers")
  }
  return inputs.map((promptTokens, i) => ({
    ...bareRequest,
    atMs: starts === null ? null : ((starts[i] ?? first) - first) * 1000,
    promptTokens,
    outputTokens: outputs[i] ?? 0,
  }))
}
