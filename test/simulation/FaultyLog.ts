// The Log port between a process and a shared log, over a network that delays everything, loses
// requests and acknowledgements, and delivers some appends twice. What the port promises holds all
// the same: order within a partition, one answer to each append, whole assignments under epochs
// that grow. Who is silent for too long loses its partitions, and finds out when it wakes.
import { Effect, Exit, Scope } from "effect"
import {
  type AppendRecord,
  type Consumer,
  Log,
  LogError,
  type OnAppended,
  type TopicPartition,
} from "../../streams/Log.ts"
import { partitionKey } from "../../streams/partitionKey.ts"
import { FaultyConsumer } from "./FaultyConsumer.ts"
import { type Host, Lanes } from "./Host.ts"
import type { Leaders } from "./Leaders.ts"

/** What becomes of an append. late: the copy comes some time after the acknowledgement. */
export type Fate = "well" | "unsent" | "requestLost" | "ackLost" | "twice" | "late"

export interface Faults {
  readonly latencyMs: () => number
  /** How much later than all else the next records of a tail come. */
  readonly lagMs: () => number
  readonly fate: () => Fate
  /** Until a lost answer is given up. */
  readonly timeoutMs: number
  readonly sessionMs: number
  /** Whether the answer to a commit is lost. */
  readonly losesCommit: () => boolean
  /** How many of so many records come in the next delivery. */
  readonly portion: (count: number) => number
}

type OnEarly = (partition: TopicPartition, records: ReadonlyArray<AppendRecord>) => void

export interface FaultyLogOptions {
  readonly base: Log["Service"]
  /** Consumers of all processes that want to hear of records on their way into the log. */
  readonly early: Set<OnEarly>
  readonly leaders: Leaders
  /** Where the shared log runs. */
  readonly broker: Host
  readonly client: Host
  readonly faults: Faults
  readonly count: (what: Exclude<Fate, "well"> | "kicked" | "rejoined") => void
}

export interface Wires {
  readonly toBroker: Lanes
  readonly toClient: Lanes
}

const unknown = () =>
  new LogError({ reason: "unknownOutcome", message: "No answer came from the log." })

const unsent = () => new LogError({ reason: "unavailable", message: "The log cannot be reached." })

interface Answer {
  readonly done: OnAppended
  outcome: { readonly error: LogError | null; readonly offset: number } | null
}

class Appender {
  readonly #options: FaultyLogOptions
  readonly #wires: Wires
  /** By partition: answers are given in the order of the calls. */
  readonly #answers = new Map<string, Array<Answer>>()

  constructor(options: FaultyLogOptions, wires: Wires) {
    this.#options = options
    this.#wires = wires
  }

  readonly append: Log["Service"]["appendThen"] = (partition, records, done) => {
    const { faults, client, count, leaders, broker, base, early } = this.#options
    const key = partitionKey(partition)
    const answer: Answer = { done, outcome: null }
    const answers = this.#answers.get(key) ?? []
    this.#answers.set(key, answers)
    answers.push(answer)
    const settle = (error: LogError | null, offset: number) => {
      if (answer.outcome !== null) return
      answer.outcome = { error, offset }
      while (answers[0]?.outcome != null) {
        const { done: tell, outcome } = answers.shift()!
        if (outcome !== null) tell(outcome.error, outcome.offset)
      }
    }
    // The caller may use its buffers again.
    const kept: ReadonlyArray<AppendRecord> = records.map((record) => ({
      key: record.key,
      value: new Uint8Array(record.value),
    }))
    for (const tell of early) tell(partition, kept)
    const fate = faults.fate()
    if (fate !== "well") count(fate)
    if (fate === "unsent") {
      client.after(faults.timeoutMs, () => settle(unsent(), -1))
      return
    }
    if (fate === "requestLost" || fate === "ackLost") {
      client.after(faults.timeoutMs, () => settle(unknown(), -1))
      if (fate === "requestLost") return
    }
    const write = (then: OnAppended) =>
      leaders.whenThere(partition, () => base.appendThen(partition, kept, then))
    this.#wires.toBroker.send(`append ${key}`, () => {
      write((error, offset) => {
        if (fate === "ackLost") return
        if (fate === "twice") write(() => {})
        if (fate === "late") broker.after(faults.timeoutMs * 4, () => write(() => {}))
        this.#wires.toClient.send(`ack ${key}`, () => settle(error, offset))
      })
    })
  }
}

/** Asks the shared log and waits for its answer. */
const ask = <A>(
  { broker }: FaultyLogOptions,
  wires: Wires,
  effect: Effect.Effect<A, LogError>,
): Effect.Effect<A, LogError> =>
  Effect.callback((resume) => {
    wires.toBroker.send(`ask ${++asked}`, () => {
      broker.fork(
        Effect.map(Effect.exit(effect), (exit) =>
          wires.toClient.send(`answer ${++asked}`, () => resume(exit)),
        ),
      )
    })
  })

let asked = 0

const openTail = (
  options: FaultyLogOptions,
  wires: Wires,
  scope: Scope.Closeable,
  tail: Parameters<Log["Service"]["tail"]>[0],
): { readonly opened: Effect.Effect<void, LogError>; readonly close: () => void } => {
  const { base, broker, client, faults } = options
  let isOpen = true
  const lane = `tail ${++asked}`
  const deliver = (partition: TopicPartition, records: Parameters<typeof tail.onRecords>[1]) => {
    let rest = records
    while (rest.length > 0) {
      const some = rest.slice(0, faults.portion(rest.length))
      rest = rest.slice(some.length)
      const give = () => {
        if (isOpen) tail.onRecords(partition, some)
      }
      wires.toClient.send(`${lane} ${partition.partition}`, give, faults.lagMs())
    }
  }
  const opened = ask(
    options,
    wires,
    Scope.provide(
      base.tail({
        ...tail,
        onRecords: deliver,
        onError: (error) => wires.toClient.send(lane, () => isOpen && tail.onError(error)),
      }),
      scope,
    ),
  )
  const closeBase = () => broker.fork(Scope.close(scope, Exit.void))
  client.onDeath(() => broker.after(faults.sessionMs, closeBase))
  return {
    opened,
    close: () => {
      isOpen = false
      wires.toBroker.send(lane, closeBase)
    },
  }
}

export const faultyLog = (options: FaultyLogOptions): Log["Service"] => {
  const { base, broker, client, faults } = options
  const wires: Wires = {
    toBroker: new Lanes(broker, faults.latencyMs),
    toClient: new Lanes(client, faults.latencyMs),
  }
  const { append } = new Appender(options, wires)
  const asking = <A>(effect: Effect.Effect<A, LogError>) => ask(options, wires, effect)
  return Log.of({
    createTopics: (topics) => asking(base.createTopics(topics)),
    topics: Effect.suspend(() => asking(base.topics)),
    append: (partition, records) =>
      Effect.callback((resume) => {
        append(partition, records, (error, offset) =>
          resume(error === null ? Effect.succeed(offset) : Effect.fail(error)),
        )
      }),
    appendThen: append,
    read: (partition, offset, bytesMax) => asking(base.read(partition, offset, bytesMax)),
    bounds: (partition) => asking(base.bounds(partition)),
    offsetAt: (partition, timestamp) => asking(base.offsetAt(partition, timestamp)),
    tail: (tail) =>
      Effect.gen(function* () {
        const opening = yield* Effect.acquireRelease(
          Effect.map(Scope.make(), (scope) => openTail(options, wires, scope, tail)),
          ({ close }) => Effect.sync(close),
        )
        yield* opening.opened
      }),
    consume: (consumer) =>
      Effect.gen(function* () {
        const joined = yield* Effect.acquireRelease(
          Effect.sync(() => new FaultyConsumer(options, wires, consumer)),
          (one) => one.leave,
        )
        yield* joined.joined
        const made: Consumer = joined
        return made
      }),
    committed: (group, partition) => asking(base.committed(group, partition)),
  })
}
