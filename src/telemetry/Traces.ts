// A request's trace: begun by the gateway, carried as W3C context in its record, gone on with by
// every worker that attempts it, and exported as OTLP by Effect's own exporter. Spans are made when
// they are over, from marks that are there anyway, so that no token costs anything; a request that
// is not sampled has none, and where tracing is off nothing is made. Nothing of prompts or answers
// goes into a span.
import { Clock, Context, Effect, Exit, Layer, Option, Tracer } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import type { TracingConfig } from "../config/Config.ts"

export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface PastSpan {
  readonly name: string
  /** As the request's record carries it. */
  readonly parent: string | null
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Attributes
}

export interface Beginning {
  readonly requestId: string
  readonly name: string
  /** What the caller sent. */
  readonly parent: string | null
}

export interface TracesShape {
  /** What the request's record is to carry: the context of the new span, or the caller's own. */
  readonly begin: (beginning: Beginning) => string | null
  /** Ends the span that `begin` made, if it made one; once. */
  readonly end: (requestId: string, attributes: Attributes, failed: boolean) => void
  /** Adds a span that is over; gives the context for those below it. */
  readonly record: (span: PastSpan) => string | null
}

const off: TracesShape = {
  begin: ({ parent }) => parent,
  end: () => {},
  record: () => null,
}

/** Begun and not ended: an edge that never ends one is a fault, and costs no memory for ever. */
const openMax = 65_536
const nanosecondsPerMs = 1_000_000n

const nanoseconds = (ms: number) => BigInt(Math.round(ms)) * nanosecondsPerMs

const externalOf = (traceparent: string | null): Tracer.ExternalSpan | null => {
  const found = /^00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/.exec(traceparent ?? "")
  if (found === null) return null
  const [, traceId = "", spanId = "", flags = ""] = found
  return Tracer.externalSpan({ traceId, spanId, sampled: (parseInt(flags, 16) & 1) === 1 })
}

const contextOf = ({ traceId, spanId }: Tracer.Span) => `00-${traceId}-${spanId}-01`

/** The same answer in every process: by the trace's id. */
const isSampled = (traceId: string, ratio: number) =>
  parseInt(traceId.slice(-8), 16) / 2 ** 32 < ratio

const isOk = Exit.void
const isFailed = Exit.fail("failed")

const makeTraces = (tracer: Tracer.Tracer, sampleRatio: number, now: () => number): TracesShape => {
  const open = new Map<string, Tracer.Span>()
  const spanOf = (name: string, parent: Tracer.ExternalSpan | null, startMs: number) =>
    tracer.span({
      name,
      parent: Option.fromNullishOr(parent),
      annotations: Context.empty(),
      links: [],
      startTime: nanoseconds(startMs),
      kind: "server",
      root: parent === null,
      sampled: true,
    })
  return {
    begin: ({ requestId, name, parent: header }) => {
      const parent = externalOf(header)
      if (parent !== null && !parent.sampled) return header
      const span = spanOf(name, parent, now())
      if (parent === null && !isSampled(span.traceId, sampleRatio)) return null
      const [oldest] = open.keys()
      if (open.size >= openMax && oldest !== undefined) open.delete(oldest)
      open.set(requestId, span)
      return contextOf(span)
    },
    end: (requestId, attributes, failed) => {
      const span = open.get(requestId)
      if (span === undefined) return
      open.delete(requestId)
      for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
      span.end(nanoseconds(now()), failed ? isFailed : isOk)
    },
    record: ({ name, parent, startMs, endMs, attributes }) => {
      const external = externalOf(parent)
      if (external === null || !external.sampled) return null
      const span = spanOf(name, external, startMs)
      for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
      span.end(nanoseconds(Math.max(startMs, endMs)), isOk)
      return contextOf(span)
    },
  }
}

export const Traces = Context.Reference<TracesShape>("sluice/telemetry/Traces", {
  defaultValue: () => off,
})

const exportIntervalMs = 1_000
const batchSpansMax = 512

/** Exports until the scope closes, and what is left then; without an endpoint: nothing. */
export const layerTraces = (
  { endpoint, sampleRatio }: TracingConfig,
  kind: string,
): Layer.Layer<never> =>
  endpoint === ""
    ? Layer.empty
    : Layer.effect(
        Traces,
        Effect.gen(function* () {
          const clock = yield* Clock.Clock
          const tracer = yield* OtlpTracer.make({
            url: endpoint,
            resource: { serviceName: "sluice", attributes: { "sluice.process": kind } },
            exportInterval: exportIntervalMs,
            maxBatchSize: batchSpansMax,
          })
          return makeTraces(tracer, sampleRatio, () => clock.currentTimeMillisUnsafe())
        }),
      ).pipe(
        Layer.provide(OtlpExporter.layerFlusher),
        Layer.provide(OtlpSerialization.layerProtobuf),
        Layer.provide(FetchHttpClient.layer),
      )
