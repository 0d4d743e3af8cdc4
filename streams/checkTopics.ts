// That the topics which a process needs are there and wide enough, for logs whose topics are an
// operator's to make. Changes nothing.
import { Effect } from "effect"
import { Log, LogError, type TopicSpec } from "./Log.ts"
import { LogFailure } from "./LogFailure.ts"
import { topicToWrite } from "./topicToWrite.ts"

const howTo = "`sluice topics apply` makes what is missing."

export const checkTopics = Effect.fn("Log.checkTopics")(function* (
  asked: ReadonlyArray<TopicSpec>,
) {
  const log = yield* Log
  const there = new Map((yield* log.topics).map((spec) => [spec.name, spec]))
  const missing = asked.filter(({ name }) => !there.has(name))
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(", ")
    const message = `These topics are missing: ${names}. ${howTo}`
    return yield* new LogError({ reason: "noSuchTopic", message })
  }
  for (const spec of asked) {
    const written = topicToWrite(there.get(spec.name) ?? null, spec)
    if (written instanceof LogFailure) return yield* new LogError(written)
  }
})
