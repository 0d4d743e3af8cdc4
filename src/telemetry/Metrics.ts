// Every metric that Sluice exports, by the names of names.ts, on one prom-client registry. Stages
// record through these methods; none touches the registry.
import { Context } from "effect"
import type { MetricObjectWithValues, MetricValue } from "prom-client"
import type { MetricName, metricSpecs } from "./names.ts"

type NameOf<Kind> = {
  [Name in MetricName]: (typeof metricSpecs)[Name]["kind"] extends Kind ? Name : never
}[MetricName]

export type GaugeName = NameOf<"gauge">
export type CounterName = NameOf<"counter">
export type HistogramName = NameOf<"histogram">

/** All values at one instant, as plain data that can cross to another thread. */
export type MetricsSnapshot = ReadonlyArray<MetricObjectWithValues<MetricValue<string>>>

export interface RequestSample {
  readonly model: string
  readonly tenant: string
  readonly status: "ok" | "error" | "cancelled" | "expired"
  /** As vLLM names it. */
  readonly reason: "stop" | "length" | "abort" | "error"
  readonly durationSeconds: number
  readonly promptTokens: number
  readonly completionTokens: number
}

export class Metrics extends Context.Service<
  Metrics,
  {
    readonly requestEnded: (sample: RequestSample) => void
    readonly refused: (model: string, code: string) => void
    readonly firstToken: (model: string, seconds: number) => void
    readonly interToken: (model: string, seconds: number) => void
    readonly step: (model: string, sequences: number, tokens: number, seconds: number) => void
    readonly queueDepth: (model: string, depth: number) => void
    readonly tokensPerSecond: (model: string, rate: number) => void
    /** Sets a gauge that a stage owns by its full metric name, declared in telemetry/names.ts. */
    readonly gauge: (
      name: GaugeName,
      labels: Readonly<Record<string, string>>,
      value: number,
    ) => void
    readonly count: (
      name: CounterName,
      labels: Readonly<Record<string, string>>,
      by: number,
    ) => void
    readonly observe: (
      name: HistogramName,
      labels: Readonly<Record<string, string>>,
      value: number,
    ) => void
    readonly snapshot: () => Promise<MetricsSnapshot>
    /** What another thread of this process measures is shown together with what this one does. */
    readonly include: (source: () => Promise<MetricsSnapshot>) => void
    /** The exposition in Prometheus text format. */
    readonly exposition: () => Promise<string>
  }
>()("sluice/telemetry/Metrics") {}
