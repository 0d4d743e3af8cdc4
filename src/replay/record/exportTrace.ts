// The requests of a model in a span of time, out of the logs, in the order of their acceptance and
// with their answers. Some hundred requests are held at once, however long the span is: those are
// looked up in the token log together, then given out.
import { Effect } from "effect"
import type { RequestAccepted } from "../../../schemas/types.ts"
import { Log, type LogError, type TopicPartition } from "../../../streams/Log.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { TokenLog } from "../../../streams/TokenLog.ts"
import type { TraceRequest } from "../trace/Trace.ts"
import { Recording, type RecordOptions } from "./Recording.ts"

export interface ExportOptions extends RecordOptions {
  readonly model: string
  /** ms since the epoch; requests accepted from the first on, and before the second. */
  readonly fromMs: number
  readonly toMs: number
  readonly onRequest: (request: TraceRequest) => void
}

/** Requests whose answers are collected together. */
const togetherMax = 512

const readBytes = 1 << 20

/** Gateways' clocks may differ from the log's by it. */
const clockSlackMs = 2000

/** One request partition, read a piece at a time. */
interface Source {
  readonly partition: TopicPartition
  offset: number
  ahead: Array<RequestAccepted>
  exhausted: boolean
}

const refill = Effect.fnUntraced(function* (source: Source, options: ExportOptions) {
  const requests = yield* RequestLog
  while (source.ahead.length === 0 && !source.exhausted) {
    const records = yield* requests.readFrom(source.partition, source.offset, readBytes)
    const last = records.at(-1)
    if (last === undefined || last.timestamp > options.toMs + clockSlackMs) source.exhausted = true
    if (last !== undefined) source.offset = last.offset + 1
    // What is damaged was no request for a worker either.
    source.ahead = records.flatMap(({ value }) =>
      value !== null &&
      value.model === options.model &&
      value.acceptedAt >= options.fromMs &&
      value.acceptedAt < options.toMs
        ? [value]
        : [],
    )
  }
})

/** The next requests of all partitions, nearly in order: each partition is. */
const nextTogether = Effect.fnUntraced(function* (
  sources: ReadonlyArray<Source>,
  options: ExportOptions,
): Effect.fn.Return<ReadonlyArray<RequestAccepted>, LogError, RequestLog> {
  const together: Array<RequestAccepted> = []
  while (together.length < togetherMax) {
    let earliest: Source | null = null
    for (const source of sources) {
      yield* refill(source, options)
      const at = source.ahead[0]?.acceptedAt ?? Infinity
      if (at < (earliest?.ahead[0]?.acceptedAt ?? Infinity)) earliest = source
    }
    const request = earliest?.ahead.shift()
    if (request === undefined) break
    together.push(request)
  }
  return together.toSorted((a, b) => a.acceptedAt - b.acceptedAt)
})

/** Folds what one token partition says of the recordings, up to their ends or the log's. */
const collect = Effect.fnUntraced(function* (
  partition: number,
  recordings: ReadonlyMap<string, Recording>,
) {
  const tokens = yield* TokenLog
  const [earliest = ""] = recordings.keys()
  let offset = yield* tokens.startOf(earliest)
  let open = recordings.size
  while (open > 0) {
    const frames = yield* tokens.readFrom(partition, offset, readBytes)
    const last = frames.at(-1)
    if (last === undefined) return
    offset = last.offset + 1
    for (const { value: frame } of frames) {
      for (const entry of frame?.entries ?? []) {
        const recording = recordings.get(entry.requestId)
        if (frame === null || recording === undefined || recording.isOver) continue
        recording.take(entry, frame.writer, frame.writtenAt)
        if (recording.isOver) open--
      }
    }
  }
})

const withAnswers = Effect.fnUntraced(function* (requests: ReadonlyArray<RequestAccepted>) {
  const tokens = yield* TokenLog
  const recordings = requests.map((request) => new Recording(request))
  const byPartition = new Map<number, Map<string, Recording>>()
  for (const recording of recordings) {
    const { requestId } = recording.request
    const partition = tokens.partitionOf(requestId)
    const own = byPartition.get(partition) ?? new Map<string, Recording>()
    own.set(requestId, recording)
    byPartition.set(partition, own)
  }
  for (const [partition, own] of byPartition) yield* collect(partition, own)
  return recordings
})

/** How many there were. */
export const exportTrace = Effect.fn("Record.export")(function* (
  options: ExportOptions,
): Effect.fn.Return<number, LogError, Log | RequestLog | TokenLog> {
  const log = yield* Log
  const requests = yield* RequestLog
  const sources: Array<Source> = []
  for (const partition of yield* requests.allPartitions) {
    const { first } = yield* log.bounds(partition)
    const found = yield* log.offsetAt(partition, Math.max(0, options.fromMs - clockSlackMs))
    const offset = Math.max(first, found)
    sources.push({ partition, offset, ahead: [], exhausted: false })
  }
  let firstAt: number | null = null
  let lastMs = 0
  let count = 0
  for (;;) {
    const together = yield* nextTogether(sources, options)
    if (together.length === 0) return count
    for (const recording of yield* withAnswers(together)) {
      firstAt ??= recording.request.acceptedAt
      // Gateways' clocks differ: a trace's times do not go back.
      lastMs = Math.max(lastMs, recording.request.acceptedAt - firstAt)
      options.onRequest(recording.toTrace(lastMs, options))
      count++
    }
  }
})
