// The names under which vLLM shows the same quantities, so that boards made for it work here. Each
// is one of our metrics shown a second time; nothing is recorded for it.
import type { MetricName } from "./names.ts"

export interface Alias {
  readonly name: string
  /** Labels by our names: what vLLM calls them; null: left out. */
  readonly labels: Readonly<Record<string, string | null>>
  /** Only values with this label. */
  readonly only?: readonly [label: string, value: string]
}

const model = { model: "model_name" }
const ofType = (name: string, type: string): Alias => ({
  name,
  labels: { ...model, type: null },
  only: ["type", type],
})
const plain = (...names: ReadonlyArray<string>): ReadonlyArray<Alias> =>
  names.map((name) => ({ name, labels: model }))

export const aliases: Readonly<Partial<Record<MetricName, ReadonlyArray<Alias>>>> = {
  sluice_sequences_running: plain("vllm:num_requests_running"),
  llm_queue_depth: plain("vllm:num_requests_waiting"),
  sluice_kv_usage_ratio: plain("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
  sluice_prompt_tokens_total: plain("vllm:prefix_cache_queries_total", "vllm:prompt_tokens_total"),
  sluice_prefix_hit_tokens_total: plain("vllm:prefix_cache_hits_total"),
  sluice_preemptions_total: plain("vllm:num_preemptions_total"),
  sluice_generated_tokens_total: plain("vllm:generation_tokens_total"),
  sluice_answers_total: [
    { name: "vllm:request_success_total", labels: { ...model, reason: "finished_reason" } },
  ],
  llm_ttft_seconds: plain("vllm:time_to_first_token_seconds"),
  llm_inter_token_seconds: plain("vllm:inter_token_latency_seconds"),
  llm_request_duration_seconds: plain("vllm:e2e_request_latency_seconds"),
  llm_request_tokens: [
    ofType("vllm:request_prompt_tokens", "prompt"),
    ofType("vllm:request_generation_tokens", "completion"),
  ],
  sluice_queue_seconds: plain("vllm:request_queue_time_seconds"),
  sluice_prefill_seconds: plain("vllm:request_prefill_time_seconds"),
  sluice_decode_seconds: plain("vllm:request_decode_time_seconds"),
  sluice_step_tokens: plain("vllm:iteration_tokens_total"),
}
