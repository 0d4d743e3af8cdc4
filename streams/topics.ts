// Names, widths and retention of every topic, and which partition a thing goes to.
import type { Tier } from "../schemas/types.ts"
import type { TopicSpec } from "./Log.ts"

export const tiers: ReadonlyArray<Tier> = ["priority", "default", "flex"]

export const tokenTopic = "sluice.tokens"
export const commandTopic = "sluice.commands"
export const deadLetterTopic = "sluice.dead-letters"
export const controlTopic = "sluice.control"
export const workerTopic = "sluice.workers"
export const keyTopic = "sluice.keys"

export interface TopicOptions {
  readonly requestPartitions: number
  readonly tokenPartitions: number
  readonly retentionMs: number
  readonly retentionBytes: number
}

/** Kafka's topic names allow these only; every other character becomes "-". */
const clean = (name: string) => name.replace(/[^A-Za-z0-9._-]/g, "-")

const requestTopics = "sluice.requests."

export const requestTopic = (model: string, version: string, tier: Tier) =>
  `${requestTopics}${clean(model)}.${clean(version)}.${tier}`

export const isRequestTopic = (topic: string): boolean => topic.startsWith(requestTopics)

export const workerGroup = (model: string, version: string) =>
  `sluice.workers.${clean(model)}.${clean(version)}`

/** The group of the workers that take from a request topic. */
export const groupOfTopic = (topic: string) =>
  `sluice.workers.${topic.slice(requestTopics.length, topic.lastIndexOf("."))}`

const kept = (name: string, partitions: number, options: TopicOptions): TopicSpec => ({
  name,
  partitions,
  cleanup: "delete",
  retentionMs: options.retentionMs,
  retentionBytes: options.retentionBytes,
})

const compacted = (name: string, retentionMs: number): TopicSpec => ({
  name,
  partitions: 1,
  cleanup: "compact",
  retentionMs,
  retentionBytes: Number.MAX_SAFE_INTEGER,
})

/** Past the end of a key's life, so that its claim is still there whenever it may count. */
const keySlackMs = 3_600_000

/** In one partition: a key's claims need one order. */
const keys = ({ retentionMs }: TopicOptions): TopicSpec => ({
  name: keyTopic,
  partitions: 1,
  cleanup: "delete",
  retentionMs: retentionMs + keySlackMs,
  retentionBytes: Number.MAX_SAFE_INTEGER,
})

/** Heartbeats come each second: a worker whose last one is older is long gone. */
const workerRetentionMs = 3_600_000

export const sharedTopics = (options: TopicOptions): ReadonlyArray<TopicSpec> => [
  kept(tokenTopic, options.tokenPartitions, options),
  kept(commandTopic, 1, options),
  kept(deadLetterTopic, 1, options),
  keys(options),
  compacted(controlTopic, Number.MAX_SAFE_INTEGER),
  compacted(workerTopic, workerRetentionMs),
]

export const modelTopics = (
  model: string,
  version: string,
  options: TopicOptions,
): ReadonlyArray<TopicSpec> =>
  tiers.map((tier) => kept(requestTopic(model, version, tier), options.requestPartitions, options))

/** FNV-1a, 32 bit: the same in every process and language that must find a partition. */
export const hashText = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return hash >>> 0
}

export const tokenPartition = (requestId: string, partitions: number) =>
  hashText(requestId) % partitions
