// A log whose records carry a registry's schema ids, under typed logs that know only ours: the id
// in the header is exchanged on the way in and on the way out, everything else stays as it is. A
// registry's id that is none of ours becomes one that nobody has, so that it is not mistaken.
import { Effect, Layer } from "effect"
import { CodecError, codecs } from "../../schemas/codec.ts"
import type { AppendRecord, ConsumerHandler, LogRecord, OnRecords } from "../Log.ts"
import { Log } from "../Log.ts"
import { deadLetterTopic } from "../topics.ts"
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

/** A dead letter, with an id of ours, holds the record that it is about: that has one too. */
const relabelled = (value: Uint8Array, exchange: Exchange): Uint8Array => {
  const letter = codecs.deadLetter.decode(value)
  if (letter instanceof CodecError) return value
  return codecs.deadLetter.encode({ ...letter, request: exchanged(letter.request, exchange) })
}

/** Both ways of one id; what is none of ours is below 0 here, and comes back as it was. */
const exchanges = (ids: ReadonlyArray<RegisteredId>) => {
  const theirs = new Map(ids.map((id) => [id.ours, id.theirs]))
  const ours = new Map(ids.map((id) => [id.theirs, id.ours]))
  const outward: Exchange = (id) => theirs.get(id) ?? (id < 0 ? ~id : id)
  const inward: Exchange = (id) => ours.get(id) ?? (id < 0 ? id : ~id)
  return { outward, inward }
}

export const withIds = (log: Log["Service"], ids: ReadonlyArray<RegisteredId>): Log["Service"] => {
  const { outward, inward } = exchanges(ids)
  const leaving = (topic: string, value: Uint8Array) =>
    exchanged(topic === deadLetterTopic ? relabelled(value, outward) : value, outward)
  const coming = (topic: string, value: Uint8Array) => {
    const known = exchanged(value, inward)
    return topic === deadLetterTopic ? relabelled(known, inward) : known
  }
  const out = (topic: string, records: ReadonlyArray<AppendRecord>) =>
    records.map(({ key, value }) => ({ key, value: leaving(topic, value) }))
  const back = (topic: string, records: ReadonlyArray<LogRecord>) =>
    records.map((record) => ({ ...record, value: coming(topic, record.value) }))
  const onRecords =
    (deliver: OnRecords): OnRecords =>
    (partition, records) =>
      deliver(partition, back(partition.topic, records))
  const handled = (handler: ConsumerHandler): ConsumerHandler => ({
    onAssigned: handler.onAssigned,
    onError: handler.onError,
    onRecords: (epoch, partition, records) =>
      handler.onRecords(epoch, partition, back(partition.topic, records)),
  })
  return Log.of({
    ...log,
    append: (partition, records) => log.append(partition, out(partition.topic, records)),
    appendThen: (partition, records, done) =>
      log.appendThen(partition, out(partition.topic, records), done),
    read: (partition, offset, bytesMax) =>
      Effect.map(log.read(partition, offset, bytesMax), (records) =>
        back(partition.topic, records),
      ),
    tail: (options) => log.tail({ ...options, onRecords: onRecords(options.onRecords) }),
    consume: (options) => log.consume({ ...options, handler: handled(options.handler) }),
  })
}

export const layerWithIds = (ids: ReadonlyArray<RegisteredId>): Layer.Layer<Log, never, Log> =>
  Layer.effect(
    Log,
    Effect.map(Log, (log) => withIds(log, ids)),
  )
