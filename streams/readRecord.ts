// A record as its type, or the reason why it is none. Damage is a value in its place among the others:
// a typed log skips nothing in silence, and whoever reads decides.
import { CodecError, type Codec } from "../schemas/codec.ts"
import type { LogRecord } from "./Log.ts"

interface Place {
  readonly offset: number
  /** ms since the epoch, set by the log at append. */
  readonly timestamp: number
}

export type ReadRecord<A> =
  | (Place & { readonly value: A; readonly damage: null })
  | (Place & { readonly value: null; readonly damage: CodecError })

export const readRecord = <A>(codec: Codec<A>, record: LogRecord): ReadRecord<A> => {
  const { offset, timestamp } = record
  const value = codec.decode(record.value)
  return value instanceof CodecError
    ? { offset, timestamp, value: null, damage: value }
    : { offset, timestamp, value, damage: null }
}

export const readRecords = <A>(
  codec: Codec<A>,
  records: ReadonlyArray<LogRecord>,
): ReadonlyArray<ReadRecord<A>> => records.map((record) => readRecord(codec, record))
