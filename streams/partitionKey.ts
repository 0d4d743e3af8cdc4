// A topic's partition as one string, for maps and tables.
import type { TopicPartition } from "./Log.ts"

export const partitionKey = ({ topic, partition }: TopicPartition): string =>
  `${topic}/${partition}`
