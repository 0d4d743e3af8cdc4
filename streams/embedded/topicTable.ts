// The topics of a data folder: a row each, never removed, its id and width fixed once it is there.
import type { TopicSpec } from "../Log.ts"
import { LogFailure } from "../LogFailure.ts"
import { topicToWrite } from "../topicToWrite.ts"
import type { Store } from "./Store.ts"

export interface TopicRow {
  /** From 1, in the order of creation. */
  readonly id: number
  readonly spec: TopicSpec
}

const keyOf = (topic: string): Buffer => Buffer.from(topic)

export const readTopic = (store: Store, topic: string): TopicRow | null => {
  const bytes = store.topics.get(keyOf(topic))
  return bytes === undefined ? null : JSON.parse(bytes.toString())
}

export const readTopics = (store: Store): ReadonlyArray<TopicRow> =>
  [...store.topics.getRange({})]
    .map(({ value }): TopicRow => JSON.parse(value.toString()))
    .sort((a, b) => a.id - b.id)

/** Within a write transaction. Nothing is written where one of them is refused. */
export const createTopics = (store: Store, specs: ReadonlyArray<TopicSpec>): LogFailure | null => {
  const rows: Array<TopicRow> = []
  let nextId = store.topics.getCount() + 1
  for (const asked of specs) {
    const there = readTopic(store, asked.name)
    const spec = topicToWrite(there?.spec ?? null, asked)
    if (spec instanceof LogFailure) return spec
    if (spec !== null) rows.push({ id: there?.id ?? nextId++, spec })
  }
  for (const row of rows) {
    store.topics.put(keyOf(row.spec.name), Buffer.from(JSON.stringify(row)))
  }
  return null
}
