// Everything that the logs hold, read by ranges through the port: what the checker judges. Marks
// are read before the records, so that what they cover must be there.
import { Effect } from "effect"
import { codecs } from "../../../schemas/codec.ts"
import { Log, type LogRecord, type TopicPartition, type TopicSpec } from "../../../streams/Log.ts"
import { readRecord } from "../../../streams/readRecord.ts"
import { deadLetterTopic, isRequestTopic, tokenTopic } from "../../../streams/topics.ts"
import type { DeadLetter } from "../../../schemas/types.ts"
import type { CheckedLogs, Mark, RequestPlace } from "./check.ts"
import type { FrameRecord } from "./referenceFold.ts"

const readBytes = 1 << 20

const readAll = Effect.fnUntraced(function* (at: TopicPartition) {
  const log = yield* Log
  const all: Array<LogRecord> = []
  let offset = (yield* log.bounds(at)).first
  for (;;) {
    const records = yield* log.read(at, offset, readBytes)
    const last = records.at(-1)
    if (last === undefined) return all
    all.push(...records)
    offset = last.offset + 1
  }
})

const partitionsOf = ({ name, partitions }: TopicSpec): ReadonlyArray<TopicPartition> =>
  Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }))

/** What a group has committed, with where the token partitions ended just after. */
export const readMarks = Effect.fnUntraced(function* (group: string) {
  const log = yield* Log
  const topics = yield* log.topics
  const marks: Array<Mark> = []
  for (const at of topics.filter(({ name }) => isRequestTopic(name)).flatMap(partitionsOf)) {
    const offset = yield* log.committed(group, at)
    if (offset !== null) marks.push({ ...at, offset })
  }
  const tokenEnds: Array<number> = []
  for (const at of topics.filter(({ name }) => name === tokenTopic).flatMap(partitionsOf)) {
    tokenEnds[at.partition] = (yield* log.bounds(at)).next
  }
  return marks.map((mark) => ({ ...mark, tokenEnds }))
})

/** `marks`: of all times at which somebody looked, beside those of now. */
export const readLogs = Effect.fnUntraced(function* (
  group: string,
  marks: ReadonlyArray<Mark> = [],
) {
  const committed = [...marks, ...(yield* readMarks(group))]
  const requests: Array<RequestPlace> = []
  const tokens: Array<FrameRecord> = []
  const letters: Array<DeadLetter> = []
  for (const at of (yield* (yield* Log).topics).flatMap(partitionsOf)) {
    const { topic, partition } = at
    const isWanted = topic === tokenTopic || topic === deadLetterTopic || isRequestTopic(topic)
    for (const record of isWanted ? yield* readAll(at) : []) {
      const { offset, timestamp } = record
      if (topic === tokenTopic) {
        const frame = readRecord(codecs.tokenFrame, record).value
        tokens.push({ partition, offset, timestamp, frame })
      } else if (topic === deadLetterTopic) {
        const letter = readRecord(codecs.deadLetter, record).value
        if (letter !== null) letters.push(letter)
      } else {
        const request = readRecord(codecs.requestAccepted, record).value
        requests.push({ topic, partition, offset, request })
      }
    }
  }
  const logs: CheckedLogs = { requests, tokens, letters, committed }
  return logs
})
