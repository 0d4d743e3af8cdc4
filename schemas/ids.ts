// Every published version of every event schema, with the id that heads its records in the embedded
// log. A version is never edited once published, nor its id given to another: add a line. A
// registry gives ids of its own; `makeCodecs` takes them instead of these.
import { avroText, pastAvroText } from "./avro.ts"

export type SchemaName = keyof typeof avroText

export interface PublishedSchema {
  readonly name: SchemaName
  /** From 1; the highest of a name is the current one, which is written. */
  readonly version: number
  readonly id: number
  /** The schema as JSON. */
  readonly avro: string
}

const current = (name: SchemaName, version: number, id: number): PublishedSchema => ({
  name,
  version,
  id,
  avro: avroText[name],
})

export const publishedSchemas: ReadonlyArray<PublishedSchema> = [
  { name: "RequestAccepted", version: 1, id: 1, avro: pastAvroText.RequestAcceptedv1 },
  current("RequestCancelled", 1, 2),
  current("TokenFrame", 1, 3),
  current("DeadLetter", 1, 4),
  current("WorkerStatus", 1, 5),
  { name: "RequestAccepted", version: 2, id: 6, avro: pastAvroText.RequestAcceptedv2 },
  current("KeyClaimed", 1, 7),
  current("ControlEvent", 1, 8),
  current("RequestAccepted", 3, 9),
]
