// The Metrics layer: one prom-client registry of its own (never the global one), made from
// names.ts. Label values come partly from clients, so each metric holds a bounded number of label
// sets.
import { Effect, Layer } from "effect"
import { Counter, Gauge, Histogram, Registry } from "prom-client"
import { expositionOf } from "./exposition.ts"
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  Metrics,
  type MetricsSnapshot,
} from "./Metrics.ts"
import { type MetricSpec, metricSpecs } from "./names.ts"

type Labels = Readonly<Record<string, string>>

/** Of a metric that names no other bound. 64 models x 4 statuses fit. */
const labelSetsUsual = 256
const labelSetLengthMax = 400

interface Bounded {
  readonly seen: Set<string>
  readonly labelSetsMax: number
  readonly other: Labels
}

const bounded = (spec: MetricSpec): Bounded => ({
  seen: new Set(),
  labelSetsMax: spec.labelSetsMax ?? labelSetsUsual,
  other: Object.fromEntries(spec.labels.map((label) => [label, "other"])),
})

const admit = (bound: Bounded, labels: Labels): Labels => {
  const id = Object.values(labels).join("\u0000")
  if (bound.seen.has(id)) return labels
  if (bound.seen.size >= bound.labelSetsMax || id.length > labelSetLengthMax) return bound.other
  bound.seen.add(id)
  return labels
}

const makeRegistry = () => {
  const registry = new Registry()
  const bounds = new Map<string, Bounded>()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, spec] of Object.entries<MetricSpec>(metricSpecs)) {
    const options = { name, help: spec.help, labelNames: spec.labels, registers: [registry] }
    bounds.set(name, bounded(spec))
    if (spec.kind === "counter") counters.set(name, new Counter(options))
    else if (spec.kind === "gauge") {
      gauges.set(name, new Gauge({ ...options, aggregator: spec.aggregator ?? "sum" }))
    } else histograms.set(name, new Histogram({ ...options, buckets: [...(spec.buckets ?? [])] }))
  }
  const within = (name: string, labels: Labels) => {
    const bound = bounds.get(name)
    return bound ? admit(bound, labels) : labels
  }
  return {
    registry,
    count: (name: CounterName, labels: Labels, by: number) =>
      counters.get(name)?.inc(within(name, labels), by),
    gauge: (name: GaugeName, labels: Labels, value: number) =>
      gauges.get(name)?.set(within(name, labels), value),
    observe: (name: HistogramName, labels: Labels, value: number) =>
      histograms.get(name)?.observe(within(name, labels), value),
  }
}

type Source = () => Promise<MetricsSnapshot>

const exposition = (registry: Registry, sources: ReadonlyArray<Source>): Promise<string> =>
  Promise.all([registry.getMetricsAsJSON(), ...sources.map((source) => source())]).then(
    expositionOf,
  )

const makeMetrics = (): Metrics["Service"] => {
  const { registry, count, gauge, observe } = makeRegistry()
  const sources: Array<Source> = []
  return {
    requestEnded: (sample) => {
      const { model, tenant } = sample
      count("llm_requests_total", { model, status: sample.status }, 1)
      count("sluice_answers_total", { model, reason: sample.reason }, 1)
      observe("llm_request_duration_seconds", { model }, sample.durationSeconds)
      observe("llm_request_tokens", { model, type: "prompt" }, sample.promptTokens)
      observe("llm_request_tokens", { model, type: "completion" }, sample.completionTokens)
      count("sluice_tenant_tokens_total", { tenant, type: "prompt" }, sample.promptTokens)
      count("sluice_tenant_tokens_total", { tenant, type: "completion" }, sample.completionTokens)
    },
    refused: (model, code) => {
      count("llm_requests_total", { model, status: "refused" }, 1)
      count("sluice_refusals_total", { model, code }, 1)
    },
    firstToken: (model, seconds) => observe("llm_ttft_seconds", { model }, seconds),
    interToken: (model, seconds) => observe("llm_inter_token_seconds", { model }, seconds),
    step: (model, sequences, tokens, seconds) => {
      observe("llm_batch_size", { model }, sequences)
      observe("sluice_step_tokens", { model }, tokens)
      observe("sluice_step_seconds", { model }, seconds)
    },
    queueDepth: (model, depth) => gauge("llm_queue_depth", { model }, depth),
    tokensPerSecond: (model, rate) => gauge("llm_throughput_tokens_per_sec", { model }, rate),
    gauge,
    count,
    observe,
    snapshot: () => registry.getMetricsAsJSON(),
    include: (source) => void sources.push(source),
    exposition: () => exposition(registry, sources),
  }
}

export const layerMetrics: Layer.Layer<Metrics> = Layer.effect(Metrics, Effect.sync(makeMetrics))
