// The requests that this worker has read and not yet seen settled, by id. A record that comes again
// (a partition that was lost and regained, a producer that sent twice) joins the request that is
// here already instead of running it a second time.
import type { RequestAccepted, Tier } from "../../schemas/types.ts"
import type { TopicPartition } from "../../streams/Log.ts"
import { completionTokens } from "../../streams/fold/requestState.ts"
import type { History } from "./adopt.ts"
import type { Claim } from "./claim.ts"
import type { Generation } from "./generation.ts"

/** Where a request's record stands. */
export interface Origin extends TopicPartition {
  readonly offset: number
  /** ms since the epoch, by the log's clock */
  readonly timestamp: number
}

/**
 * reading: what the token log says of it is being read. waiting: for a slot. claiming: until its
 * own claim comes back. running: in the engine. ending: until its terminal entry has come back.
 * yielded: another worker holds it. burying: its dead letter is being written.
 */
export type Phase =
  "reading" | "waiting" | "claiming" | "running" | "ending" | "yielded" | "burying"

export class InFlight {
  readonly request: RequestAccepted
  readonly tokenPartition: number
  /** The record as it was read, for a dead letter. */
  readonly record: Uint8Array
  readonly arrivedAt: number
  readonly sequences: number
  readonly promptTokens: number
  readonly origins: Array<Origin>
  phase: Phase = "waiting"
  /** False once it left the table: late callbacks must not touch it. */
  isHeld = true
  /** Its record is not known to be in the log yet: nothing of it may be logged. */
  isEarly: boolean
  /** Of a request that may have been touched before; null: nobody can have, or it runs by now. */
  history: History | null = null
  claim: Claim | null = null
  generation: Generation | null = null
  isSuspect = false
  loggedTokens = 0
  /** Engine sequences it holds slots for. */
  seated = 0
  /** When this attempt went to the engine, and when its first token came; 0: not yet. */
  runAt = 0
  firstTokenAt = 0
  /** When the attempt before this one was last heard of; 0: there was none. */
  lastSignAt = 0

  constructor(options: {
    readonly request: RequestAccepted
    readonly record: Uint8Array
    readonly tokenPartition: number
    /** null: its record is only announced. */
    readonly origin: Origin | null
    readonly arrivedAt: number
  }) {
    const { request, origin } = options
    this.request = request
    this.record = options.record
    this.tokenPartition = options.tokenPartition
    this.arrivedAt = options.arrivedAt
    this.origins = origin === null ? [] : [origin]
    this.isEarly = origin === null
    this.sequences = request.prompts.length * request.n
    this.promptTokens = request.prompts.reduce((sum, prompt) => sum + prompt.length, 0)
  }

  get tier(): Tier {
    return this.request.tier
  }

  get deadline(): number {
    return this.request.deadline
  }

  /** Of its prompts and of what is logged, before there can be another token. */
  get tokensToCompute(): number {
    return this.promptTokens + this.loggedTokens
  }

  /** Looks at its history when it takes a slot; stays what it was after that. */
  weigh(history: History): void {
    this.isSuspect = history.isSuspect
    this.loggedTokens = completionTokens(history.state)
  }
}

/** What a tier holds here, running requests included. */
export interface Held {
  requests: number
  promptTokens: number
}

export class InFlightTable {
  readonly #byId = new Map<string, InFlight>()
  readonly #held: Readonly<Record<Tier, Held>> = {
    priority: { requests: 0, promptTokens: 0 },
    default: { requests: 0, promptTokens: 0 },
    flex: { requests: 0, promptTokens: 0 },
  }

  get(requestId: string): InFlight | undefined {
    return this.#byId.get(requestId)
  }

  add(item: InFlight): void {
    this.#byId.set(item.request.requestId, item)
    this.#count(item, 1)
  }

  remove(item: InFlight): void {
    item.isHeld = false
    if (this.#byId.delete(item.request.requestId)) this.#count(item, -1)
  }

  get isEmpty(): boolean {
    return this.#byId.size === 0
  }

  held(tier: Tier): Readonly<Held> {
    return this.#held[tier]
  }

  values(): IterableIterator<InFlight> {
    return this.#byId.values()
  }

  get size(): number {
    return this.#byId.size
  }

  #count(item: InFlight, by: 1 | -1): void {
    const held = this.#held[item.tier]
    held.requests += by
    held.promptTokens += by * item.promptTokens
  }
}
