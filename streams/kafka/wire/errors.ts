// What can go wrong between this process and a broker: the connection, or an answer with one of
// Kafka's error codes. Which of them pass by themselves is decided here, once.
import { LogError } from "../../Log.ts"

/** Kafka's error codes by name, those that are told apart. */
export const codes = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  messageTooLarge: 10,
  groupLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  invalidTopic: 17,
  recordListTooLarge: 18,
  illegalGeneration: 22,
  inconsistentGroupProtocol: 23,
  unknownMemberId: 25,
  rebalanceInProgress: 27,
  topicAlreadyExists: 36,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  unknownProducerId: 59,
  memberIdRequired: 79,
  invalidRecord: 87,
} as const

/** Codes of a leader, coordinator or replica that is elsewhere or not ready: ask again. */
const passing: ReadonlySet<number> = new Set([
  3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 41, 56, 74, 75, 76, 78, 88,
])

/** Of a produce: the records may be there although it failed. */
const appended: ReadonlySet<number> = new Set([7, 13, 20])

export class BrokerError extends Error {
  override readonly name = "BrokerError"
  /** Kafka's; null where there was no answer. */
  readonly code: number | null

  constructor(code: number | null, message: string) {
    super(message)
    this.code = code
  }

  /** The same may succeed a little later, or at another broker. */
  get passing(): boolean {
    return this.code === null || passing.has(this.code)
  }

  /** Of a produce: whether the records were appended is not known. */
  get ambiguous(): boolean {
    return this.code === null || appended.has(this.code)
  }
}

export const orThrow = (code: number, what: string): void => {
  if (code !== codes.none) throw new BrokerError(code, `${what}: Kafka answers error ${code}`)
}

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

export const toLogError = (error: unknown): LogError => {
  if (error instanceof LogError) return error
  const code = error instanceof BrokerError ? error.code : null
  const reason =
    code === codes.messageTooLarge || code === codes.recordListTooLarge
      ? "tooLarge"
      : code === codes.invalidRecord
        ? "corrupt"
        : "unavailable"
  return new LogError({ reason, message: `Kafka: ${messageOf(error)}.` })
}
