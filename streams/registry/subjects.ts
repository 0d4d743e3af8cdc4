// Which schema the values of a topic have, and under which subject a registry knows it.
import type { SchemaName } from "../../schemas/ids.ts"
import {
  commandTopic,
  controlTopic,
  deadLetterTopic,
  isRequestTopic,
  keyTopic,
  tokenTopic,
  workerTopic,
} from "../topics.ts"

const fixed: Readonly<Record<string, SchemaName>> = {
  [tokenTopic]: "TokenFrame",
  [commandTopic]: "RequestCancelled",
  [deadLetterTopic]: "DeadLetter",
  [workerTopic]: "WorkerStatus",
  [keyTopic]: "KeyClaimed",
  [controlTopic]: "ControlEvent",
}

/** null: its records have no schema yet. */
export const schemaOfTopic = (topic: string): SchemaName | null =>
  isRequestTopic(topic) ? "RequestAccepted" : (fixed[topic] ?? null)

export const subjectOfTopic = (topic: string): string => `${topic}-value`
