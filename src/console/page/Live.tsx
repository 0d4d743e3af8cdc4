// The path with its live numbers, and the workers.
import type { WorkerStatus } from "../../../schemas/types.ts"
import type { Live } from "./feed.ts"
import { count, ms, percent, rate } from "./format.ts"

const Spark = ({ values }: { values: ReadonlyArray<number> }) => {
  const top = Math.max(1, ...values)
  const points = values.map((value, i) => `${i},${(40 - (38 * value) / top).toFixed(1)}`).join(" ")
  return (
    <svg class="spark" viewBox="0 0 240 40" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points} />
    </svg>
  )
}

interface Fact {
  readonly name: string
  readonly value: string
}

const Stage = ({ title, facts }: { title: string; facts: ReadonlyArray<Fact> }) => (
  <section class="stage">
    <h3>{title}</h3>
    <dl>
      {facts.map(({ name, value }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  </section>
)

const ratio = (part: number | undefined, whole: number | undefined): string =>
  part === undefined || whole === undefined || whole === 0 ? "–" : percent(part / whole)

const mean = (sum: number | undefined, of: number | undefined): string =>
  sum === undefined || of === undefined || of === 0 ? "–" : (sum / of).toFixed(1)

const stages = ({ update }: Live) => {
  if (update === null) return []
  const { gauges, waiting } = update
  const queued = Object.values(waiting.byTier).reduce((sum, n) => sum + n, 0)
  const blocks = gauges["sluice_kv_blocks"]
  const free = gauges["sluice_kv_blocks_free"] ?? 0
  return [
    {
      title: "Gateway",
      facts: [
        { name: "requests/s", value: rate(update.requestsPerSecond) },
        { name: "accepted", value: count(update.totals.accepted) },
      ],
    },
    {
      title: "Request log",
      facts: [
        { name: "waiting", value: count(queued) },
        { name: "oldest", value: ms(queued === 0 ? null : waiting.oldestMs) },
      ],
    },
    {
      title: "Workers",
      facts: [
        {
          name: "batch, mean",
          value: mean(gauges["llm_batch_size_sum"], gauges["llm_batch_size_count"]),
        },
        {
          name: "KV blocks used",
          value: blocks === undefined ? "–" : `${count(blocks - free)} of ${count(blocks)}`,
        },
        {
          name: "prefix hits",
          value: ratio(
            gauges["sluice_prefix_hit_tokens_total"],
            gauges["sluice_prompt_tokens_total"],
          ),
        },
      ],
    },
    {
      title: "Token log",
      facts: [
        { name: "tokens/s", value: rate(update.tokensPerSecond) },
        { name: "lag", value: ms(update.logLagMs) },
      ],
    },
    {
      title: "Relay",
      facts: [
        { name: "streams", value: count(gauges["sluice_subscribers"] ?? 0) },
        { name: "first token p50", value: ms(update.ttftP50Ms) },
        { name: "p99", value: ms(update.ttftP99Ms) },
      ],
    },
  ]
}

const WorkerRow = ({ worker }: { worker: WorkerStatus }) => (
  <tr>
    <td class="id">{worker.workerId}</td>
    <td>
      <span class={`state ${worker.state}`}>{worker.state}</span>
    </td>
    <td>{worker.device}</td>
    <td class="number">{worker.requestsRunning}</td>
    <td class="number">
      {worker.slotsFree} of {worker.slots}
    </td>
    <td class="number">{rate(worker.tokensPerSecond)}</td>
    <td class="number">{worker.partitions.length}</td>
  </tr>
)

const Workers = ({ workers }: { workers: ReadonlyArray<WorkerStatus> }) =>
  workers.length === 0 ? (
    <p class="empty">No worker is heard of. Requests wait in the log until one comes.</p>
  ) : (
    <div class="scroll" tabIndex={0} role="region" aria-label="Workers">
      <table>
        <thead>
          <tr>
            <th>worker</th>
            <th>state</th>
            <th>device</th>
            <th>running</th>
            <th>slots free</th>
            <th>tokens/s</th>
            <th>partitions</th>
          </tr>
        </thead>
        <tbody>
          {workers.map((worker) => (
            <WorkerRow key={worker.workerId} worker={worker} />
          ))}
        </tbody>
      </table>
    </div>
  )

export const LivePane = ({ live }: { live: Live }) => (
  <>
    <div class="path">
      {stages(live).map((stage) => (
        <Stage key={stage.title} {...stage} />
      ))}
    </div>
    <figure>
      <Spark values={live.history} />
      <figcaption>tokens/s, the last minute</figcaption>
    </figure>
    <h2>Workers</h2>
    <Workers workers={live.update?.workers ?? []} />
  </>
)
