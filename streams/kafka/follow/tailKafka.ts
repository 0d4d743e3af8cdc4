// Log.tail over Kafka: one follower a partition, over one Fetcher. The places where it begins are
// known before it returns, so that nothing appended later is missed.
import { belowFirst, noSuchTopic } from "../../follow/RecordSource.ts"
import type { TailOptions } from "../../Log.ts"
import type { KafkaReader } from "../read.ts"
import { type Cluster, persist } from "../wire/Cluster.ts"
import type { Fetcher } from "./Fetcher.ts"

const startWithinMs = 15_000

export const tailKafka = async (
  cluster: Cluster,
  reader: KafkaReader,
  fetcher: Fetcher,
  { topic, from, onRecords, onError }: TailOptions,
): Promise<void> => {
  const width = await persist(cluster, startWithinMs, () => cluster.width(topic))
  if (width === null) throw noSuchTopic(topic)
  const partitions = Array.from({ length: width }, (_, partition) => ({ topic, partition }))
  const starts = await Promise.all(
    partitions.map(async (at) => {
      const bounds = await reader.bounds(at)
      const offset = from === "end" ? bounds.next : (from.get(at.partition) ?? bounds.next)
      if (offset < bounds.first) throw belowFirst(at, offset, bounds.first)
      return offset
    }),
  )
  let failed = false
  for (const [index, partition] of partitions.entries()) {
    fetcher.follow({
      partition,
      offset: starts[index]!,
      overtaken: "fail",
      onRecords: (records) => onRecords(partition, records),
      onError: (error) => {
        if (failed) return
        failed = true
        fetcher.close()
        onError(error)
      },
    })
  }
}
