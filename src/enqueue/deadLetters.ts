// The requests that were given up: which there are, and one of them again as a new request. Their
// log is short and asked for by people, so it is read from its start each time.
import { Clock, Effect, Schema } from "effect"
import { CodecError, codecs } from "../../schemas/codec.ts"
import type { DeadLetter, RequestAccepted } from "../../schemas/types.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { affinityKey, homePartition } from "./partition.ts"

export interface FoundLetter {
  readonly offset: number
  readonly letter: DeadLetter
  /** null: what the letter holds is no request. */
  readonly request: RequestAccepted | null
}

export class DeadLetterError extends Schema.TaggedError<DeadLetterError>()("DeadLetterError", {
  reason: Schema.Literals(["noLog", "notNamed", "notFound", "notReplayable"]),
  message: Schema.String,
}) {}

const fail = (reason: DeadLetterError["reason"], message: string) =>
  new DeadLetterError({ reason, message })

const readBytesMax = 1 << 20

const requestOf = (record: Uint8Array): RequestAccepted | null => {
  const request = codecs.requestAccepted.decode(record)
  return request instanceof CodecError ? null : request
}

/** The oldest first. A letter that was written twice is there once, as it was written last. */
export const listLetters = Effect.gen(function* () {
  const log = yield* DeadLetterLog
  const letters = new Map<string, FoundLetter>()
  let offset = yield* log.first
  for (;;) {
    const records = yield* log.readFrom(offset, readBytesMax)
    for (const record of records) {
      offset = record.offset + 1
      const letter = record.value
      if (letter === null) continue
      const name = letter.requestId === "" ? String(record.offset) : letter.requestId
      letters.delete(name)
      letters.set(name, { offset: record.offset, letter, request: requestOf(letter.request) })
    }
    if (records.length === 0) return [...letters.values()]
  }
})

/** By its request's id, or by its offset, which a letter of no request has only. */
export const findLetter = Effect.fnUntraced(function* (name: string | null) {
  if (name === null) return yield* fail("notNamed", "name a request's id, or a letter's offset.")
  const letters = yield* listLetters
  const found = letters.find(
    ({ letter, offset }) => letter.requestId === name || String(offset) === name,
  )
  if (found !== undefined) return found
  const message = `there is no dead letter ${JSON.stringify(name)}; \`list\` shows all.`
  return yield* fail("notFound", message)
})

/** Succeeds with the new request's id. */
export const replayLetter = Effect.fnUntraced(function* (name: string | null) {
  const requests = yield* RequestLog
  const { request, offset } = yield* findLetter(name)
  if (request === null) {
    const message = `what letter ${offset} holds is no request, so it cannot be sent again.`
    return yield* fail("notReplayable", message)
  }
  const now = yield* Clock.currentTimeMillis
  const requestId = newRequestId(now)
  const deadline = now + (request.deadline - request.acceptedAt)
  const again: RequestAccepted = { ...request, requestId, acceptedAt: now, deadline }
  const { model, version, tier } = again
  const partitions = yield* requests.partitions(model, version, tier)
  yield* requests.append(again, homePartition(affinityKey(again), partitions))
  return requestId
})
