// Every metric's name, kind, labels and sentence. The first block is public and its names never
// change (boards and alerts are built on them); what a name is not in this table, nobody can
// record.

export interface MetricSpec {
  readonly kind: "counter" | "gauge" | "histogram"
  readonly help: string
  readonly labels: ReadonlyArray<string>
  /** How the values of several threads of a process become one; the sum unless given. */
  readonly aggregator?: "max"
  /** Upper bounds of a histogram. */
  readonly buckets?: ReadonlyArray<number>
  /** Sets of labels that are told apart; every further one is counted under "other". */
  readonly labelSetsMax?: number
}

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
const fineSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const powersOfTwo = (last: number) => Array.from({ length: last + 1 }, (_, power) => 2 ** power)
const powersOfFour = (last: number) => Array.from({ length: last + 1 }, (_, power) => 4 ** power)
/** A thousand tenants, each with its prompts and completions. */
const tenantSetsMax = 2_048

export const metricSpecs = {
  llm_requests_total: { kind: "counter", help: "Total requests.", labels: ["model", "status"] },
  llm_request_duration_seconds: {
    kind: "histogram",
    help: "Request duration, from acceptance to the end.",
    labels: ["model"],
    buckets: seconds,
  },
  llm_request_tokens: {
    kind: "histogram",
    help: "Tokens per request; type is prompt or completion.",
    labels: ["model", "type"],
    buckets: powersOfFour(9),
  },
  // Recorded only by an engine on a GPU: absent elsewhere, never zero.
  llm_gpu_utilization_percent: { kind: "gauge", help: "GPU utilization.", labels: ["gpu_id"] },
  llm_gpu_memory_used_bytes: { kind: "gauge", help: "GPU memory used.", labels: ["gpu_id"] },
  sluice_gpu_memory_total_bytes: { kind: "gauge", help: "GPU memory.", labels: ["gpu_id"] },
  sluice_gpu_temperature_celsius: { kind: "gauge", help: "GPU temperature.", labels: ["gpu_id"] },
  sluice_gpu_power_watts: { kind: "gauge", help: "GPU power draw.", labels: ["gpu_id"] },
  llm_queue_depth: {
    kind: "gauge",
    help: "Requests accepted and not yet in a batch.",
    labels: ["model"],
  },
  llm_batch_size: {
    kind: "histogram",
    help: "Sequences in one engine step.",
    labels: ["model"],
    buckets: powersOfTwo(10),
  },
  llm_ttft_seconds: {
    kind: "histogram",
    help: "Time from acceptance to the first token.",
    labels: ["model"],
    buckets: fineSeconds,
  },
  llm_throughput_tokens_per_sec: {
    kind: "gauge",
    help: "Tokens generated per second, lately.",
    labels: ["model"],
  },

  llm_inter_token_seconds: {
    kind: "histogram",
    help: "Time between two tokens of one choice.",
    labels: ["model"],
    buckets: fineSeconds,
  },
  sluice_queue_seconds: {
    kind: "histogram",
    help: "Time from acceptance to the first step of a worker.",
    labels: ["model"],
    buckets: fineSeconds,
  },
  sluice_prefill_seconds: {
    kind: "histogram",
    help: "Time from a worker's start of a request to its first token.",
    labels: ["model"],
    buckets: fineSeconds,
  },
  sluice_decode_seconds: {
    kind: "histogram",
    help: "Time from the first token of a request to its last.",
    labels: ["model"],
    buckets: seconds,
  },
  sluice_recovery_seconds: {
    kind: "histogram",
    help: "Time from the last sign of a dead attempt to the start of the next.",
    labels: ["model"],
    buckets: seconds,
  },
  sluice_answers_total: {
    kind: "counter",
    help: "Answered requests, by why they ended: stop, length, abort or error.",
    labels: ["model", "reason"],
  },
  sluice_tenant_tokens_total: {
    kind: "counter",
    help: "Tokens by tenant; type is prompt or completion.",
    labels: ["tenant", "type"],
    labelSetsMax: tenantSetsMax,
  },
  sluice_revenue_total: {
    kind: "counter",
    help: "What answered tokens are worth at the configured prices, in their currency.",
    labels: ["model"],
  },
  sluice_cost_per_hour: {
    kind: "gauge",
    help: "What the running workers cost an hour, in the currency of the prices.",
    labels: ["model"],
  },
  sluice_refusals_total: {
    kind: "counter",
    help: "Requests that were not accepted, by error code.",
    labels: ["model", "code"],
  },
  sluice_step_seconds: {
    kind: "histogram",
    help: "Duration of one engine step.",
    labels: ["model"],
    buckets: fineSeconds,
  },
  sluice_step_tokens: {
    kind: "histogram",
    help: "Tokens computed in one engine step.",
    labels: ["model"],
    buckets: powersOfFour(8),
  },
  sluice_grammar_mask_seconds: {
    kind: "gauge",
    help: "Work to make one mask of a grammar, of the newest ones; quantile is 0.5 or 0.99.",
    labels: ["model", "quantile"],
    aggregator: "max",
  },
  sluice_sequences_running: {
    kind: "gauge",
    help: "Sequences that the engine runs.",
    labels: ["model"],
  },
  sluice_sequences_waiting: {
    kind: "gauge",
    help: "Sequences that wait in the engine.",
    labels: ["model"],
  },
  sluice_generated_tokens_total: {
    kind: "counter",
    help: "Tokens that the engine made, delivered or not.",
    labels: ["model"],
  },
  sluice_queue_age_seconds: {
    kind: "gauge",
    help: "Age of the oldest request that waits in a worker for a slot.",
    labels: ["model"],
    aggregator: "max",
  },
  sluice_commit_age_seconds: {
    kind: "gauge",
    help: "Age of the oldest request whose offset is not committed.",
    labels: ["model"],
    aggregator: "max",
  },
  sluice_commit_watermark: {
    kind: "gauge",
    help: "Offset below which all requests of a partition have ended.",
    labels: ["model", "tier", "partition"],
    aggregator: "max",
  },
  sluice_log_lag_records: {
    kind: "gauge",
    help: "Requests of a partition that are in the log and have not ended.",
    labels: ["model", "tier", "partition"],
    aggregator: "max",
  },
  sluice_worker_stalled_seconds: {
    kind: "gauge",
    help: "Time since the engine's last step, while it has work.",
    labels: ["model"],
    aggregator: "max",
  },
  sluice_kv_usage_ratio: {
    kind: "gauge",
    help: "Share of the KV blocks that is in use, from 0 to 1.",
    labels: ["model"],
    aggregator: "max",
  },
  sluice_kv_blocks: { kind: "gauge", help: "KV blocks of the engine.", labels: ["model"] },
  sluice_kv_blocks_free: { kind: "gauge", help: "KV blocks not in use.", labels: ["model"] },
  sluice_preemptions_total: {
    kind: "counter",
    help: "Sequences preempted for want of KV blocks.",
    labels: ["model"],
  },
  sluice_prefix_hit_tokens_total: {
    kind: "counter",
    help: "Prompt tokens served from the prefix cache.",
    labels: ["model"],
  },
  sluice_prompt_tokens_total: {
    kind: "counter",
    help: "Prompt tokens admitted by the engine.",
    labels: ["model"],
  },
  sluice_adoptions_total: {
    kind: "counter",
    help: "Requests continued after another attempt.",
    labels: ["model"],
  },
  sluice_dead_letters_total: {
    kind: "counter",
    help: "Requests given up after too many attempts.",
    labels: ["model"],
  },
  sluice_fenced_attempts_total: {
    kind: "counter",
    help: "Attempts that lost their request to a later claim: what they append counts for nobody.",
    labels: ["model"],
  },
  sluice_fenced_entries_total: {
    kind: "counter",
    help: "Entries of losing attempts that a relay dropped while a client followed the request.",
    labels: [],
  },
  sluice_streams: {
    kind: "gauge",
    help: "Answers being written here, by dialect.",
    labels: ["dialect"],
  },
  sluice_subscribers: { kind: "gauge", help: "Clients that follow a request here.", labels: [] },
  sluice_streams_paused: {
    kind: "gauge",
    help: "Streams that wait for a slow client.",
    labels: [],
  },
  sluice_connections: { kind: "gauge", help: "Open connections.", labels: ["kind"] },
  sluice_redis_up: {
    kind: "gauge",
    help: "Whether the gateways' shared Redis answers this one.",
    labels: [],
  },
  sluice_rate_fallbacks_total: {
    kind: "counter",
    help: "Requests that were limited by this gateway alone, Redis being away.",
    labels: [],
  },
  sluice_registry_up: {
    kind: "gauge",
    help: "Whether the schema registry answers; processes that run do not need it.",
    labels: [],
    aggregator: "max",
  },
  sluice_outstanding_tokens: {
    kind: "gauge",
    help: "Tokens promised to accepted requests and not yet generated.",
    labels: ["model"],
  },
  sluice_certificate_expiry_timestamp_seconds: {
    kind: "gauge",
    help: "When the TLS certificate ends; absent without one.",
    labels: [],
    aggregator: "max",
  },
  sluice_resident_memory_bytes: {
    kind: "gauge",
    help: "Memory that the process holds.",
    labels: [],
    aggregator: "max",
  },
  sluice_open_files: {
    kind: "gauge",
    help: "File descriptors that the process has open.",
    labels: [],
    aggregator: "max",
  },
  sluice_event_loop_delay_seconds: {
    kind: "gauge",
    help: "Delay of the event loop since the last reading; of several threads the longest.",
    labels: ["quantile"],
    aggregator: "max",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>

export type MetricName = keyof typeof metricSpecs
