// The width that a topic really has. It may be wider than the configuration now says, and hashes
// must go by what is there.
import { Effect } from "effect"
import { Log, LogError } from "./Log.ts"

export const partitionsOf = Effect.fnUntraced(function* (topic: string) {
  const log = yield* Log
  const topics = yield* log.topics
  const found = topics.find(({ name }) => name === topic)
  if (found !== undefined) return found.partitions
  return yield* new LogError({ reason: "noSuchTopic", message: `There is no topic ${topic}.` })
})
