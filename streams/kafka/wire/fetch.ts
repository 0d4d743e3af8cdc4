// One Fetch request and its answer, partition by partition: what one of them cannot give does not
// hide what the others have.
import { partitionKey } from "../../partitionKey.ts"
import type { TopicPartition } from "../../Log.ts"
import type { Node } from "./Node.ts"
import { readBatches, type RecordBatch } from "./recordBatch.ts"

export interface FetchFrom {
  readonly partition: TopicPartition
  readonly offset: number
  readonly bytesMax: number
}

export interface FetchOptions {
  /** How long the broker waits for records where there are none. */
  readonly waitMs: number
  readonly bytesMax: number
}

export interface Fetched {
  /** Kafka's error code of this partition. */
  readonly code: number
  readonly batches: ReadonlyArray<RecordBatch>
}

const readUncommitted = 0

/** By partitionKey. */
export const fetchFrom = async (
  node: Node,
  wanted: ReadonlyArray<FetchFrom>,
  options: FetchOptions,
): Promise<ReadonlyMap<string, Fetched>> => {
  const byTopic = Map.groupBy(wanted, ({ partition }) => partition.topic)
  const topics = [...byTopic].map(([topic, partitions]) => ({
    topic,
    partitions: partitions.map(({ partition, offset, bytesMax }) => ({
      partition: partition.partition,
      fetchOffset: `${offset}`,
      maxBytes: bytesMax,
    })),
  }))
  const args = {
    isolationLevel: readUncommitted,
    maxWaitTime: options.waitMs,
    minBytes: 1,
    maxBytes: options.bytesMax,
    rackId: "",
    topics,
  }
  return node.callRaw("Fetch", args, readAnswer)
}

/** Version 11 of the answer. */
const readAnswer = (raw: Buffer): ReadonlyMap<string, Fetched> => {
  const answer = new Map<string, Fetched>()
  let at = 10
  const int32 = () => {
    at += 4
    return raw.readInt32BE(at - 4)
  }
  for (let topics = int32(); topics > 0; topics--) {
    const length = raw.readInt16BE(at)
    const topic = raw.toString("utf8", at + 2, at + 2 + length)
    at += 2 + length
    for (let partitions = int32(); partitions > 0; partitions--) {
      const partition = int32()
      const code = raw.readInt16BE(at)
      at += 2 + 3 * 8
      const aborted = int32()
      at += Math.max(0, aborted) * 16 + 4
      const size = Math.max(0, int32())
      const batches = readBatches(raw.subarray(at, at + size))
      at += size
      answer.set(partitionKey({ topic, partition }), { code, batches })
    }
  }
  return answer
}
