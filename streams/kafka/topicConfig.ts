// A topic of ours as Kafka's settings, and back. Pure.
import type { TopicSpec } from "../Log.ts"
import { tokenTopic } from "../topics.ts"
import { messageBytesMax } from "./append/Producers.ts"
import type { ConfigEntry } from "./wire/requests.ts"

const mebi = 1024 * 1024
const gibi = 1024 * mebi
const forEver = Number.MAX_SAFE_INTEGER

const orEndless = (value: number): string => (value === forEver ? "-1" : `${value}`)

/** Kafka deletes whole segments, never the one it writes: small enough that retention is kept. */
const segmentBytes = ({ retentionBytes }: TopicSpec): number =>
  Math.max(mebi, Math.min(gibi, Math.floor(retentionBytes / 8)))

/**
 * Kafka keeps up to a segment more than it is told: told less, it keeps what is asked for at most.
 */
export const keptBy = (spec: TopicSpec): TopicSpec =>
  spec.retentionBytes === forEver
    ? spec
    : {
        ...spec,
        retentionBytes: Math.max(
          Math.floor(spec.retentionBytes / 2),
          spec.retentionBytes - segmentBytes(spec),
        ),
      }

const segmentMs = ({ retentionMs }: TopicSpec): number =>
  Math.max(60_000, Math.min(7 * 86_400_000, Math.floor(retentionMs / 8)))

/**
 * Anybody may write to most topics with any codec: Kafka writes it anew in one that is read here.
 * Only workers write tokens, and theirs stay as they are.
 */
const codec = ({ name }: TopicSpec): string => (name === tokenTopic ? "producer" : "zstd")

export const configOf = (spec: TopicSpec, replicas: number): ReadonlyArray<ConfigEntry> => {
  const deletes = spec.cleanup === "delete" || spec.retentionMs !== forEver
  const compacts = spec.cleanup === "compact"
  const policy = [...(compacts ? ["compact"] : []), ...(deletes ? ["delete"] : [])].join(",")
  const values: Readonly<Record<string, string>> = {
    "cleanup.policy": policy,
    "retention.ms": orEndless(spec.retentionMs),
    "retention.bytes": orEndless(spec.retentionBytes),
    "segment.bytes": `${segmentBytes(spec)}`,
    "segment.ms": `${segmentMs(spec)}`,
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": `${messageBytesMax}`,
    "min.insync.replicas": replicas >= 3 ? "2" : "1",
    "compression.type": codec(spec),
  }
  return Object.entries(values).map(([name, value]) => ({ name, value }))
}

export const readNames = ["cleanup.policy", "retention.ms", "retention.bytes"]

const number = (value: string | undefined): number => {
  const read = Number(value ?? "-1")
  return read < 0 || read > forEver ? forEver : read
}

export const specOf = (
  name: string,
  partitions: number,
  values: ReadonlyMap<string, string>,
): TopicSpec => ({
  name,
  partitions,
  cleanup: (values.get("cleanup.policy") ?? "delete").includes("compact") ? "compact" : "delete",
  retentionMs: number(values.get("retention.ms")),
  retentionBytes: number(values.get("retention.bytes")),
})
