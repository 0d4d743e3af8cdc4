// Finds a request record by its id alone: the id's time says where in each partition to start, and
// how far to look. Bounded by the time window, not by the log's length; the likely window is
// searched first.
import { Effect } from "effect"
import { CodecError, codecs } from "../schemas/codec.ts"
import type { RequestAccepted } from "../schemas/types.ts"
import type { Log, LogError, LogRecord, TopicPartition } from "./Log.ts"
import { requestTime } from "./requestId.ts"
import { isRequestTopic } from "./topics.ts"

interface Window {
  readonly beforeMs: number
  readonly afterMs: number
}

/** A record follows its id by the time of an append; clocks that differ widen that. */
const likely: Window = { beforeMs: 1000, afterMs: 5000 }
const widest: Window = { beforeMs: 60_000, afterMs: 60_000 }

const readBytes = 256 * 1024

export type FoundRequest = RequestAccepted | "unknown" | "gone"

/** The id stands at a record's beginning: what does not mention it there need not be decoded. */
const idWithinBytes = 64

const matching = (record: LogRecord, requestId: string): RequestAccepted | null => {
  const { buffer, byteOffset, byteLength } = record.value
  const start = Buffer.from(buffer, byteOffset, Math.min(byteLength, idWithinBytes))
  if (!start.includes(requestId)) return null
  const request = codecs.requestAccepted.decode(record.value)
  return request instanceof CodecError || request.requestId !== requestId ? null : request
}

/**
 * Reads one partition from the window's beginning until the request, the window's end or the log's.
 */
const findIn = Effect.fnUntraced(function* (
  log: Log["Service"],
  partition: TopicPartition,
  requestId: string,
  window: Window,
): Effect.fn.Return<FoundRequest, LogError> {
  const from = requestTime(requestId) - window.beforeMs
  const until = requestTime(requestId) + window.afterMs
  const { first } = yield* log.bounds(partition)
  let offset = yield* log.offsetAt(partition, from)
  const atFirst = offset === first && first > 0
  let oldest = Number.POSITIVE_INFINITY
  while (true) {
    const records = yield* log.read(partition, offset, readBytes)
    for (const record of records) {
      oldest = Math.min(oldest, record.timestamp)
      if (record.timestamp > until) break
      const request = matching(record, requestId)
      if (request !== null) return request
    }
    const last = records[records.length - 1]
    if (last === undefined || last.timestamp > until) break
    offset = last.offset + 1
  }
  return atFirst && oldest > from ? "gone" : "unknown"
})

/** The same in one partition: where a request can only be there. */
export const findRequestAt = Effect.fnUntraced(function* (
  log: Log["Service"],
  partition: TopicPartition,
  requestId: string,
): Effect.fn.Return<FoundRequest, LogError> {
  const found = yield* findIn(log, partition, requestId, likely)
  return found === "unknown" ? yield* findIn(log, partition, requestId, widest) : found
})

export const findRequest = Effect.fn("RequestLog.find")(function* (
  log: Log["Service"],
  requestId: string,
): Effect.fn.Return<FoundRequest, LogError> {
  const topics = (yield* log.topics).filter(({ name }) => isRequestTopic(name))
  let gone = false
  for (const window of [likely, widest]) {
    for (const { name, partitions } of topics) {
      for (let partition = 0; partition < partitions; partition++) {
        const found = yield* findIn(log, { topic: name, partition }, requestId, window)
        if (found === "gone") gone = true
        else if (found !== "unknown") return found
      }
    }
  }
  return gone ? "gone" : "unknown"
})
