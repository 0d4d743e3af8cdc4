// What tails and consumers need of a store that lives in this process or its memory map: reads that
// do not wait. The embedded and the memory log are such stores, Kafka is not.
import { type Bounds, LogError, type LogRecord, type TopicPartition } from "../Log.ts"
import { partitionKey } from "../partitionKey.ts"

export interface RecordSource {
  /** The width of a topic; null where there is none. */
  readonly partitions: (topic: string) => number | null
  readonly bounds: (partition: TopicPartition) => Bounds | LogError
  /** As Log.read: below `first` is an error, at `next` or above is empty. */
  readonly read: (
    partition: TopicPartition,
    offset: number,
    bytesMax: number,
  ) => ReadonlyArray<LogRecord> | LogError
}

export const noSuchTopic = (topic: string) =>
  new LogError({ reason: "noSuchTopic", message: `There is no topic ${topic}.` })

export const noSuchPartition = ({ topic, partition }: TopicPartition) =>
  new LogError({ reason: "noSuchTopic", message: `${topic} has no partition ${partition}.` })

export const belowFirst = (partition: TopicPartition, offset: number, first: number) =>
  new LogError({
    reason: "outOfRange",
    message: `${partitionKey(partition)}: offset ${offset} is below the first retained, ${first}.`,
  })
