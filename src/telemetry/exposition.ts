// What /metrics says: the snapshots of all threads of a process as one text in Prometheus' format,
// our names first, then vLLM's for the same values. Values of one metric and label set are added
// up, or the largest is taken, as its declaration says. Written in one pass: a scrape of thousands
// of series must not be seen in the streams of this process.
import type { MetricObjectWithValues, MetricValue } from "prom-client"
import type { MetricsSnapshot } from "./Metrics.ts"
import { type MetricSpec, metricSpecs } from "./names.ts"
import { type Alias, aliases } from "./vllm.ts"

type Metric = MetricObjectWithValues<MetricValue<string>>

/** A histogram's values name the series they belong to. */
const seriesOf = (value: MetricValue<string>, name: string): string =>
  "metricName" in value && typeof value.metricName === "string" ? value.metricName : name

interface Line {
  /** "" for the metric itself; "_bucket", "_sum", "_count" of a histogram. */
  readonly suffix: string
  readonly labels: Readonly<Record<string, string | number | undefined>>
  value: number
}

const escaped = (value: string) =>
  /["\\\n]/.test(value)
    ? value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
    : value

const labelsText = (labels: Line["labels"], renamed: Alias["labels"] | null): string => {
  let text = ""
  for (const label in labels) {
    const name = renamed?.[label] ?? label
    if (renamed?.[label] === null) continue
    text += `${text === "" ? "" : ","}${name}="${escaped(String(labels[label]))}"`
  }
  return text === "" ? "" : `{${text}}`
}

const number = (value: number): string =>
  value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)

/** Every line of one metric, of all threads together. */
const linesOf = (name: string, metrics: ReadonlyArray<Metric>, takesMax: boolean) => {
  const lines = new Map<string, Line>()
  for (const metric of metrics) {
    for (const each of metric.values) {
      const { labels, value } = each
      const suffix = seriesOf(each, name).slice(name.length)
      const key = metrics.length === 1 ? String(lines.size) : suffix + labelsText(labels, null)
      const line = lines.get(key)
      if (line === undefined) lines.set(key, { suffix, labels, value })
      else line.value = takesMax ? Math.max(line.value, value) : line.value + value
    }
  }
  return [...lines.values()]
}

const block = (name: string, { kind, help }: MetricSpec, lines: Iterable<string>): string => {
  const body = [...lines].join("\n")
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${body === "" ? "" : `${body}\n`}`
}

const aliasBlock = (alias: Alias, spec: MetricSpec, lines: ReadonlyArray<Line>): string => {
  const [label, only] = alias.only ?? []
  const shown = label === undefined ? lines : lines.filter((line) => line.labels[label] === only)
  return block(
    alias.name,
    spec,
    shown.map(
      ({ suffix, labels, value }) =>
        `${alias.name}${suffix}${labelsText(labels, alias.labels)} ${number(value)}`,
    ),
  )
}

export const expositionOf = (snapshots: ReadonlyArray<MetricsSnapshot>): string => {
  const byName = new Map<string, Array<Metric>>()
  for (const snapshot of snapshots) {
    for (const metric of snapshot) {
      const same = byName.get(metric.name)
      if (same === undefined) byName.set(metric.name, [metric])
      else same.push(metric)
    }
  }
  let ours = ""
  let theirs = ""
  for (const [name, spec] of Object.entries<MetricSpec>(metricSpecs)) {
    const lines = linesOf(name, byName.get(name) ?? [], spec.aggregator === "max")
    ours += block(
      name,
      spec,
      lines.map(
        ({ suffix, labels, value }) =>
          `${name}${suffix}${labelsText(labels, null)} ${number(value)}`,
      ),
    )
    for (const [of, shown] of Object.entries(aliases)) {
      if (of === name) for (const alias of shown) theirs += aliasBlock(alias, spec, lines)
    }
  }
  return ours + theirs
}
