// Finds the newest request that a tenant made in a chat, by the id that its client gave the chat:
// reads the request log backwards in windows that grow, since who asks was here a moment ago.
// Bounded by the time given, beyond which no request of interest can be running, and by bytes: on a
// log so busy that they do not suffice, a chat whose last request is older is not found.
import { Effect } from "effect"
import { CodecError, codecs } from "../schemas/codec.ts"
import type { RequestAccepted } from "../schemas/types.ts"
import type { Log, LogError, LogRecord, TopicPartition } from "./Log.ts"
import { isRequestTopic } from "./topics.ts"

export interface ChatWanted {
  readonly tenant: string
  readonly dialect: string
  readonly clientId: string
  /** ms since the epoch: nothing older is wanted. */
  readonly since: number
  readonly now: number
}

const readBytes = 256 * 1024

const firstWindowMs = 30_000

/** Of one search. */
const searchBytesMax = 64 * 1024 * 1024

/** Each window reaches four times as far back as the one before. */
const windowGrowth = 4

const matching = (
  record: LogRecord,
  { tenant, dialect, clientId }: ChatWanted,
): RequestAccepted | null => {
  const { buffer, byteOffset, byteLength } = record.value
  // What does not mention the id need not be decoded.
  if (!Buffer.from(buffer, byteOffset, byteLength).includes(clientId)) return null
  const request = codecs.requestAccepted.decode(record.value)
  return !(request instanceof CodecError) &&
    request.tenant === tenant &&
    request.dialect === dialect &&
    request.answer.clientId === clientId
    ? request
    : null
}

interface Window {
  readonly from: number
  readonly until: number
}

/** What a search may still read. */
interface Budget {
  bytes: number
}

const newestIn = Effect.fnUntraced(function* (
  log: Log["Service"],
  partition: TopicPartition,
  wanted: ChatWanted,
  { from, until, budget }: Window & { readonly budget: Budget },
): Effect.fn.Return<RequestAccepted | null, LogError> {
  let newest: RequestAccepted | null = null
  let offset = yield* log.offsetAt(partition, from)
  while (budget.bytes > 0) {
    const records = yield* log.read(partition, offset, readBytes)
    for (const record of records) {
      budget.bytes -= record.value.length
      if (record.timestamp <= until) newest = matching(record, wanted) ?? newest
    }
    const last = records[records.length - 1]
    if (last === undefined || last.timestamp > until) return newest
    offset = last.offset + 1
  }
  return newest
})

const newerOf = (a: RequestAccepted | null, b: RequestAccepted | null): RequestAccepted | null =>
  a === null || (b !== null && b.acceptedAt > a.acceptedAt) ? b : a

/** null: there is none. */
export const findChat = Effect.fn("RequestLog.findChat")(function* (
  log: Log["Service"],
  wanted: ChatWanted,
  bytesMax: number = searchBytesMax,
) {
  const topics = (yield* log.topics).filter(({ name }) => isRequestTopic(name))
  const budget = { bytes: bytesMax }
  // Clocks of other gateways may be ahead of this one's.
  let until = Number.POSITIVE_INFINITY
  for (let backMs = firstWindowMs; until > wanted.since && budget.bytes > 0;) {
    const from = Math.max(wanted.since, wanted.now - backMs)
    let newest: RequestAccepted | null = null
    for (const { name, partitions } of topics) {
      for (let partition = 0; partition < partitions; partition++) {
        const place = { topic: name, partition }
        newest = newerOf(newest, yield* newestIn(log, place, wanted, { from, until, budget }))
      }
    }
    if (newest !== null) return newest
    until = from
    backMs *= windowGrowth
  }
  return null
})
