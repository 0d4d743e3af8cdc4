// A record as its type, or the reason why it is none. Damage is a value in its place among the
// others: a typed log skips nothing in silence, and whoever reads decides.
import { CodecError, type Codec } from "../schemas/codec.ts"
import type { LogRecord } from "./Log.ts"

interface Place {
  readonly offset: number
  /** ms since the epoch, set by the log at append. */
  readonly timestamp: number
  /** The record as it was read, header and all. */
  readonly bytes: Uint8Array
}

export type ReadRecord<A> =
  | (Place & { readonly value: A; readonly damage: null })
  | (Place & { readonly value: null; readonly damage: CodecError })

export const readRecord = <A>(codec: Codec<A>, record: LogRecord): ReadRecord<A> => {
  const { offset, timestamp, value: bytes } = record
  const value = codec.decode(bytes)
  return value instanceof CodecError
    ? { offset, timestamp, bytes, value: null, damage: value }
    : { offset, timestamp, bytes, value, damage: null }
}

export const readRecords = <A>(
  codec: Codec<A>,
  records: ReadonlyArray<LogRecord>,
): ReadonlyArray<ReadRecord<A>> => records.map((record) => readRecord(codec, record))
