// Records of the request log on their way in: which are new, which came before, which nobody can
// have touched yet, and which are no requests at all. Anyone may write to the request log, so a
// record is checked here as if nobody had checked it.
import type { RequestAccepted } from "../../schemas/types.ts"
import type { TopicPartition } from "../../streams/Log.ts"
import type { RequestRecord } from "../../streams/RequestLog.ts"
import { isRequestId, requestTime } from "../../streams/requestId.ts"
import { requestTopic, tokenPartition } from "../../streams/topics.ts"
import type { Assignment, Owned } from "./assignment.ts"
import type { Burial } from "./bury.ts"
import type { Early, EarlyRequest } from "./early.ts"
import { InFlight, type InFlightTable, type Origin } from "./inFlight.ts"
import type { Lifecycle } from "./lifecycle.ts"
import type { TokenTail } from "./tail.ts"

/** Choices of one request over all its prompts: far above what a gateway lets pass. */
const sequencesMax = 4096

/** A record that waited longer may have been claimed so long ago that the tail has forgotten it. */
const freshMs = 60_000

/**
 * A record that came so long after its id was made may have been settled before it came, by a
 * gateway that had given it up.
 */
const promptMs = 10_000

export interface IntakeParts {
  readonly table: InFlightTable
  readonly assignment: Assignment
  readonly lifecycle: Lifecycle
  readonly tail: TokenTail
  readonly early: Early
  readonly tokenPartitions: number
  readonly now: () => number
  readonly bury: (burial: Burial) => void
}

export class Intake {
  readonly #parts: IntakeParts

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }

  onRecords(partition: TopicPartition, records: ReadonlyArray<RequestRecord>): void {
    const owned = this.#parts.assignment.owned(partition)
    if (owned === undefined) return
    for (const record of records) {
      if (owned.watermark.add(record.offset)) this.#take(owned, record)
    }
  }

  /** Of an owned partition; only those that could be started at once are taken. */
  onEarly(partition: TopicPartition, requests: ReadonlyArray<EarlyRequest>): void {
    const { assignment, early } = this.#parts
    const owned = assignment.owned(partition)
    if (owned === undefined || owned.freshFrom === Infinity) return
    for (const { request, bytes } of requests) {
      if (!early.isNew(request.requestId) || faultOf(request, owned.topic) !== null) continue
      early.start(this.#itemOf(request, bytes, null))
    }
  }

  #take(owned: Owned, record: RequestRecord): void {
    const { topic, partition, freshFrom } = owned
    const { offset, timestamp, bytes, value: request } = record
    const origin: Origin = { topic, partition, offset, timestamp }
    const { assignment, tail, early, lifecycle, bury } = this.#parts
    if (request === null) {
      const message = "The record is not a RequestAccepted of a known version."
      return bury({ item: null, origin, record: bytes, code: "damaged_record", message })
    }
    const known = this.#parts.table.get(request.requestId)
    if (known !== undefined) {
      joins(known, origin)
      return early.confirm(known)
    }
    if (tail.isSettled(request.requestId)) return assignment.done([origin])
    const item = this.#itemOf(request, bytes, origin)
    const fault = faultOf(request, topic)
    if (fault !== null) return lifecycle.bury(item, "invalid_request", fault)
    const isYoung = item.arrivedAt - timestamp < freshMs
    const isPrompt = timestamp - requestTime(request.requestId) < promptMs
    const isTouched = tail.isTouched(request.requestId)
    const isFresh = offset >= freshFrom && isYoung && isPrompt && !isTouched
    lifecycle.arrive(item, isFresh)
  }

  #itemOf(request: RequestAccepted, record: Uint8Array, origin: Origin | null): InFlight {
    return new InFlight({
      request,
      record,
      origin,
      tokenPartition: tokenPartition(request.requestId, this.#parts.tokenPartitions),
      arrivedAt: this.#parts.now(),
    })
  }
}

/** The same record again after its partition was lost and regained, or a producer's second copy. */
const joins = (item: InFlight, origin: Origin): void => {
  const isKnown = item.origins.some(
    ({ topic, partition, offset }) =>
      topic === origin.topic && partition === origin.partition && offset === origin.offset,
  )
  if (!isKnown) item.origins.push(origin)
}

const faultOf = (request: RequestAccepted, topic: string): string | null => {
  const { requestId, prompts, n } = request
  if (!isRequestId(requestId)) return "The request's id is not req- and the digits of a UUIDv7."
  if (requestTopic(request.model, request.version, request.tier) !== topic) {
    return "The request names another model, version or tier than its topic is for."
  }
  if (prompts.length === 0 || prompts.some((prompt) => prompt.length === 0)) {
    return "The request has no prompt, or an empty one."
  }
  if (n < 1 || prompts.length * n > sequencesMax) {
    return `The request asks for ${prompts.length * n} choices; 1 to ${sequencesMax} are possible.`
  }
  return null
}
