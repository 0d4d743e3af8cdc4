// A report as JSON: at the top the names that vLLM's benchmark writes, so that tools which read
// those read this; under `sluice` all of it, which `sluice replay compare` reads back.
import type { Histogram } from "../measure/Histogram.ts"
import type { ReportData } from "./Report.ts"
import { summarise } from "./summary.ts"

const latency = (name: string, histogram: Histogram): Readonly<Record<string, number>> => ({
  [`mean_${name}_ms`]: histogram.mean,
  [`median_${name}_ms`]: histogram.quantile(0.5),
  [`std_${name}_ms`]: histogram.deviation,
  [`p90_${name}_ms`]: histogram.quantile(0.9),
  [`p95_${name}_ms`]: histogram.quantile(0.95),
  [`p99_${name}_ms`]: histogram.quantile(0.99),
})

/** As vLLM writes its dates: 20260131-235959. */
const compactDate = (iso: string) => iso.replaceAll(/[-:]/g, "").replace("T", "-").slice(0, 15)

export const reportJson = (report: ReportData): string => {
  const summary = summarise(report)
  const { total } = summary
  return `${JSON.stringify({
    date: compactDate(report.startedAt),
    backend: "openai",
    endpoint_type: "openai",
    label: report.name,
    model_id: report.model,
    tokenizer_id: report.model,
    num_prompts: summary.requests,
    request_rate: summary.duePerSecond,
    burstiness: 1,
    max_concurrency: null,
    duration: summary.seconds,
    completed: total.count.answered,
    failed: total.count.failed,
    total_input_tokens: total.count.promptTokens,
    total_output_tokens: total.count.outputTokens,
    request_throughput: summary.requestsPerSecond,
    request_goodput: summary.goodPerSecond,
    output_throughput: summary.outputTokensPerSecond,
    total_token_throughput: summary.outputTokensPerSecond + summary.promptTokensPerSecond,
    max_concurrent_requests: summary.inFlightMax,
    ...latency("ttft", total.latency.ttft),
    ...latency("tpot", total.latency.tpot),
    ...latency("itl", total.latency.itl),
    ...latency("e2el", total.latency.e2e),
    sluice: report,
  })}\n`
}
