// Which requests are sent, when, and as what: a trace (or lengths alone) joined with arrivals,
// lengths that fit, and prompts. Pulled one at a time, so that its memory is one request's. Each of
// several generators draws the whole plan and keeps its share: together they send what one would.
import { openTrace } from "../trace/openTrace.ts"
import {
  bareRequest,
  type Format,
  TraceError,
  type TracePrompt,
  type TraceReader,
  type TraceRequest,
} from "../trace/Trace.ts"
import { type Arrivals, dueTimes } from "./arrivals.ts"
import { type BodyOptions, writeBody, type Written } from "./body.ts"
import { type Fit, fitLengths } from "./lengths.ts"
import { type Material, promptIds, promptWords } from "./synthesise.ts"

export type PlanSource =
  | { readonly kind: "file"; readonly file: string; readonly format: Format | null }
  | { readonly kind: "lengths"; readonly promptTokens: number; readonly outputTokens: number }

export interface PlanOptions {
  readonly source: PlanSource
  readonly arrivals: Arrivals
  readonly seed: number
  /** Requests due later are not sent; null: all. */
  readonly durationMs: number | null
  readonly requestsMax: number | null
  /** Begin the trace again at its end, with prompts that share nothing with the last time's. */
  readonly repeat: boolean
  readonly fit: Fit
  readonly material: Material
  readonly body: BodyOptions
  readonly share: { readonly index: number; readonly of: number }
}

export interface Planned extends Written {
  readonly index: number
  /** Since the start; null: as soon as there is room. */
  readonly dueMs: number | null
  /** As asked for; 0 where the prompt is a recorded text of unknown length. */
  readonly promptTokens: number
  readonly outputTokens: number
  readonly clipped: boolean
  /** As it is sent; the body has it too. */
  readonly prompt: TracePrompt
  readonly request: TraceRequest
}

export interface Plan {
  readonly next: () => Planned | TraceError | null
  readonly close: () => void
}

const openSource = (source: PlanSource): TraceReader | TraceError => {
  if (source.kind === "file") return openTrace(source.file, source.format)
  const { promptTokens, outputTokens } = source
  return { next: () => ({ ...bareRequest, promptTokens, outputTokens }), close: () => {} }
}

/** What a recorded answer's length was, where the trace says no other. */
const outputTokensOf = ({ outputTokens, answer, params }: TraceRequest): number | null =>
  params === null ? (outputTokens ?? answer?.choices[0]?.ids.length ?? null) : outputTokens

const outputTokensUsual = 128

/** One request of the trace as it will be sent. */
const plan = (request: TraceRequest, index: number, pass: number, options: PlanOptions) => {
  const { fit, body } = options
  const recorded = outputTokensOf(request)
  if (request.prompt !== null) {
    const outputTokens = recorded === 0 ? null : recorded
    const asked = { prompt: request.prompt, outputTokens, params: request.params }
    const promptTokens = request.promptTokens ?? 0
    const lengths = { promptTokens, outputTokens: outputTokens ?? 0, clipped: false }
    return { ...lengths, prompt: request.prompt, ...writeBody(asked, body) }
  }
  const lengths = fitLengths(request.promptTokens ?? 1, recorded ?? outputTokensUsual, fit)
  const material = { ...options.material, seed: options.material.seed + pass }
  const { promptTokens, outputTokens } = lengths
  const wanted = { promptTokens, blocks: request.blocks, scale: fit.scale, index }
  const prompt =
    material.ids === null
      ? { kind: "text" as const, text: promptWords(material, wanted) }
      : { kind: "ids" as const, prompts: [promptIds(material, material.ids, wanted)] }
  const params = request.params === null ? null : { ...request.params, max_tokens: outputTokens }
  return { ...lengths, prompt, ...writeBody({ prompt, outputTokens, params }, body) }
}

export const openPlan = (options: PlanOptions): Plan | TraceError => {
  const { source, seed, durationMs, share } = options
  const due = dueTimes(options.arrivals, seed)
  const first = openSource(source)
  if (first instanceof TraceError) return first
  let trace: TraceReader = first
  let pass = 0
  let passStartMs = 0
  let lastMs = 0
  let passRequests = 0
  let index = 0

  const nextOfTrace = (): TraceRequest | TraceError | null => {
    const request = trace.next()
    if (request !== null || !options.repeat || passRequests === 0) return request
    trace.close()
    const again = openSource(source)
    if (again instanceof TraceError) return again
    trace = again
    pass++
    // The trace's own mean distance stands between its last request and its first again.
    passStartMs = lastMs + (lastMs - passStartMs) / Math.max(1, passRequests - 1)
    passRequests = 0
    return trace.next()
  }

  const next = (): Planned | TraceError | null => {
    for (;;) {
      if (options.requestsMax !== null && index >= options.requestsMax) return null
      const request = nextOfTrace()
      if (request === null || request instanceof TraceError) return request
      passRequests++
      lastMs = passStartMs + (request.atMs ?? 0)
      const dueMs = due(lastMs)
      if (durationMs !== null && dueMs !== null && dueMs >= durationMs) return null
      const own = index % share.of === share.index
      index++
      if (own) {
        const at = index - 1
        return { index: at, dueMs, request, ...plan(request, at, pass, options) }
      }
    }
  }
  return { next, close: () => trace.close() }
}
