// What of a server's metrics page is worth a line beside the load: values that rise and fall, under
// the names that Sluice and vLLM give them. Values of one name with several labels are added up.

/** Of the metrics page; longer ones are not read to their end. */
const pageCharactersMax = 4 * 1024 * 1024

const shown: ReadonlySet<string> = new Set([
  "llm_queue_depth",
  "llm_throughput_tokens_per_sec",
  "llm_gpu_utilization_percent",
  "llm_gpu_memory_used_bytes",
  "sluice_sequences_running",
  "sluice_sequences_waiting",
  "sluice_kv_blocks_free",
  "vllm:num_requests_running",
  "vllm:num_requests_waiting",
  "vllm:kv_cache_usage_perc",
  "vllm:gpu_cache_usage_perc",
])

const sample = /^([a-zA-Z_:][\w:]*)(?:\{[^\n]*\})? ([^\s]+)/

export const readSamples = (page: string): ReadonlyMap<string, number> => {
  const values = new Map<string, number>()
  for (const line of page.slice(0, pageCharactersMax).split("\n")) {
    const [, name = "", text = ""] = sample.exec(line) ?? []
    if (!shown.has(name)) continue
    const value = Number(text)
    if (Number.isFinite(value)) values.set(name, (values.get(name) ?? 0) + value)
  }
  return values
}
