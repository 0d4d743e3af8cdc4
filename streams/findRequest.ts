// Finds request records by their ids alone: an id's time says where in each partition to start, and
// how far to look. Bounded by the time window, not by the log's length; the likely window is
// searched first. Ids of about the same time are looked for together, in one reading: when a relay
// dies, all of its clients ask another one at once.
import { Effect } from "effect"
import { CodecError, codecs } from "../schemas/codec.ts"
import type { RequestAccepted } from "../schemas/types.ts"
import type { Log, LogError, LogRecord, TopicPartition } from "./Log.ts"
import { isRequestId, requestTime } from "./requestId.ts"
import { isRequestTopic } from "./topics.ts"

interface Window {
  readonly beforeMs: number
  readonly afterMs: number
}

/** A record follows its id by the time of an append; clocks that differ widen that. */
const likely: Window = { beforeMs: 1000, afterMs: 5000 }
const widest: Window = { beforeMs: 60_000, afterMs: 60_000 }

const readBytes = 256 * 1024

/** Partitions read at a time: each read of a cluster is some round trips. */
const readsAtOnce = 8

export type FoundRequest = RequestAccepted | "unknown" | "gone"

/** What is known so far of the ids that are looked for. */
type Found = Map<string, FoundRequest>

/** The id stands at a record's beginning: what does not mention it there need not be decoded. */
const idWithinBytes = 64
const idBegin = "req-"
const idBytes = 36

const matching = (record: LogRecord, wanted: ReadonlySet<string>): RequestAccepted | null => {
  const { buffer, byteOffset, byteLength } = record.value
  const start = Buffer.from(buffer, byteOffset, Math.min(byteLength, idWithinBytes))
  const at = start.indexOf(idBegin)
  if (at < 0 || !wanted.has(start.toString("latin1", at, at + idBytes))) return null
  const request = codecs.requestAccepted.decode(record.value)
  return request instanceof CodecError || !wanted.has(request.requestId) ? null : request
}

/**
 * Reads one partition from the window's beginning until all are found, the window's end or the
 * log's. The ids are ascending, and so are their times.
 */
const findIn = Effect.fnUntraced(function* (
  log: Log["Service"],
  partition: TopicPartition,
  ids: ReadonlyArray<string>,
  window: Window,
): Effect.fn.Return<Found, LogError> {
  const found: Found = new Map()
  const wanted = new Set(ids)
  const from = requestTime(ids[0] ?? "") - window.beforeMs
  const until = requestTime(ids.at(-1) ?? "") + window.afterMs
  const { first } = yield* log.bounds(partition)
  let offset = yield* log.offsetAt(partition, from)
  const atFirst = offset === first && first > 0
  let oldest = Number.POSITIVE_INFINITY
  while (wanted.size > 0) {
    const records = yield* log.read(partition, offset, readBytes)
    for (const record of records) {
      oldest = Math.min(oldest, record.timestamp)
      if (record.timestamp > until) break
      const request = matching(record, wanted)
      if (request === null) continue
      found.set(request.requestId, request)
      wanted.delete(request.requestId)
    }
    const last = records[records.length - 1]
    if (last === undefined || last.timestamp > until) break
    offset = last.offset + 1
  }
  for (const id of wanted) {
    if (atFirst && oldest > requestTime(id) - window.beforeMs) found.set(id, "gone")
  }
  return found
})

/** A record that was read says more than a partition whose beginning is gone. */
const learn = (known: Found, found: Found): void => {
  for (const [id, one] of found) if (one !== "gone" || !known.has(id)) known.set(id, one)
}

const isFound = (found: FoundRequest | undefined): boolean => typeof found === "object"

/** Ids, ascending, cut where so much time lies between two that one reading would be longer. */
const neighbours = (
  ids: ReadonlyArray<string>,
  { beforeMs, afterMs }: Window,
): ReadonlyArray<ReadonlyArray<string>> => {
  const groups: Array<Array<string>> = []
  let last = Number.NEGATIVE_INFINITY
  for (const id of ids) {
    const time = requestTime(id)
    if (time - last > beforeMs + afterMs) groups.push([])
    groups.at(-1)?.push(id)
    last = time
  }
  return groups
}

const findAll = Effect.fnUntraced(function* (
  log: Log["Service"],
  partitions: ReadonlyArray<TopicPartition>,
  requestIds: ReadonlyArray<string>,
): Effect.fn.Return<Found, LogError> {
  const known: Found = new Map()
  const ids = [...new Set(requestIds)].filter(isRequestId).toSorted()
  for (const window of [likely, widest]) {
    const left = ids.filter((id) => !isFound(known.get(id)))
    for (const group of neighbours(left, window)) {
      yield* Effect.forEach(
        partitions,
        (partition) =>
          Effect.suspend(() => {
            const rest = group.filter((id) => !isFound(known.get(id)))
            if (rest.length === 0) return Effect.void
            return Effect.map(findIn(log, partition, rest, window), (found) => learn(known, found))
          }),
        { concurrency: readsAtOnce, discard: true },
      )
    }
  }
  return known
})

/** In one partition: where a request can only be there. */
export const findRequestAt = (
  log: Log["Service"],
  partition: TopicPartition,
  requestId: string,
): Effect.Effect<FoundRequest, LogError> =>
  Effect.map(findAll(log, [partition], [requestId]), (found) => found.get(requestId) ?? "unknown")

/** In every request topic. */
export const findRequests = Effect.fn("RequestLog.find")(function* (
  log: Log["Service"],
  requestIds: ReadonlyArray<string>,
) {
  const topics = (yield* log.topics).filter(({ name }) => isRequestTopic(name))
  const partitions = topics.flatMap(({ name: topic, partitions: count }) =>
    Array.from({ length: count }, (_, partition) => ({ topic, partition })),
  )
  return yield* findAll(log, partitions, requestIds)
})
