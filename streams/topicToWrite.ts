// What asking for a topic does to the one there is: a missing one is made, a wider one stays as
// wide, a narrower one is refused (hashes to partitions would break), and retention follows who
// asked last.
import type { TopicSpec } from "./Log.ts"
import { LogFailure } from "./LogFailure.ts"

/** The topic as it should be written; null where nothing changes. */
export const topicToWrite = (
  there: TopicSpec | null,
  asked: TopicSpec,
): TopicSpec | null | LogFailure => {
  if (there === null) return asked
  if (there.partitions < asked.partitions) {
    const has = `Topic ${asked.name} has ${there.partitions} partitions`
    return new LogFailure("topicNarrower", `${has}, ${asked.partitions} are asked for.`)
  }
  const { retentionMs, retentionBytes } = asked
  const same = there.retentionMs === retentionMs && there.retentionBytes === retentionBytes
  return same ? null : { ...there, retentionMs, retentionBytes }
}
