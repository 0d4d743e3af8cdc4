// A log whose records carry a registry's schema ids, under typed logs that know only ours: the id
// in the header is exchanged on the way in and on the way out, everything else stays as it is. A
// registry's id that is none of ours becomes one that nobody has, so that it is not mistaken.
import { Effect, Layer } from "effect"
import type { AppendRecord, ConsumerHandler, LogRecord, OnRecords } from "../Log.ts"
import { Log } from "../Log.ts"
import type { RegisteredId } from "./resolveIds.ts"

/** 0x00 and an int32. */
const headerBytes = 5

type Exchange = (id: number) => number

const isFramed = (value: Uint8Array): boolean => value.length >= headerBytes && value[0] === 0

const exchanged = (value: Uint8Array, exchange: Exchange): Uint8Array => {
  if (!isFramed(value)) return value
  const copy = Buffer.from(value)
  copy.writeInt32BE(exchange(copy.readInt32BE(1)), 1)
  return copy
}

export const withIds = (log: Log["Service"], ids: ReadonlyArray<RegisteredId>): Log["Service"] => {
  const theirs = new Map(ids.map((id) => [id.ours, id.theirs]))
  const ours = new Map(ids.map((id) => [id.theirs, id.ours]))
  const outward: Exchange = (id) => theirs.get(id) ?? id
  const inward: Exchange = (id) => ours.get(id) ?? -Math.abs(id)
  const out = (records: ReadonlyArray<AppendRecord>) =>
    records.map(({ key, value }) => ({ key, value: exchanged(value, outward) }))
  const back = (records: ReadonlyArray<LogRecord>) =>
    records.map((record) => ({ ...record, value: exchanged(record.value, inward) }))
  const onRecords =
    (deliver: OnRecords): OnRecords =>
    (partition, records) =>
      deliver(partition, back(records))
  const handled = (handler: ConsumerHandler): ConsumerHandler => ({
    onAssigned: handler.onAssigned,
    onError: handler.onError,
    onRecords: (epoch, partition, records) => handler.onRecords(epoch, partition, back(records)),
  })
  return Log.of({
    ...log,
    append: (partition, records) => log.append(partition, out(records)),
    appendThen: (partition, records, done) => log.appendThen(partition, out(records), done),
    read: (partition, offset, bytesMax) => Effect.map(log.read(partition, offset, bytesMax), back),
    tail: (options) => log.tail({ ...options, onRecords: onRecords(options.onRecords) }),
    consume: (options) => log.consume({ ...options, handler: handled(options.handler) }),
  })
}

export const layerWithIds = (ids: ReadonlyArray<RegisteredId>): Layer.Layer<Log, never, Log> =>
  Layer.effect(
    Log,
    Effect.map(Log, (log) => withIds(log, ids)),
  )
