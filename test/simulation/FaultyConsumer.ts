// One member of a consumer group behind the faulty network. To the shared log it is a member like
// any other; when its process is silent for a session, the log takes its partitions, and when it
// wakes it joins again: what was on its way comes first, as it does to a stopped process.
import { Effect, Exit, Scope } from "effect"
import {
  type Commit,
  type Consumer,
  type ConsumerOptions,
  LogError,
  type LogRecord,
  type TopicPartition,
} from "../../streams/Log.ts"
import { partitionKey } from "../../streams/partitionKey.ts"
import type { FaultyLogOptions, Wires } from "./FaultyLog.ts"

/** One stay in the group. Its own epochs start anew; the client's go on. */
interface Stay {
  readonly scope: Scope.Closeable
  consumer: Consumer | null
  isOver: boolean
}

interface Delivery {
  readonly epoch: number
  readonly partition: TopicPartition
  readonly records: ReadonlyArray<LogRecord>
}

let members = 0

export class FaultyConsumer implements Consumer {
  readonly #options: FaultyLogOptions
  readonly #wires: Wires
  readonly #consumer: ConsumerOptions
  readonly #lane = `member ${++members}`
  #stay: Stay | null = null
  #epoch = 0
  /** What the client's epoch is to the shared log. */
  #current: { readonly stay: Stay; readonly epoch: number } | null = null
  #owned = new Set<string>()
  readonly #paused = new Set<string>()
  #kept: Array<Delivery> = []
  #hasLeft = false

  constructor(options: FaultyLogOptions, wires: Wires, consumer: ConsumerOptions) {
    this.#options = options
    this.#wires = wires
    this.#consumer = consumer
    const { broker, client, faults, early } = options
    const { onEarly } = consumer.handler
    // On a way of its own: it may come after the record, or say what never comes.
    early.add((partition, records) => {
      if (!this.#owned.has(partitionKey(partition))) return
      wires.toClient.send(`${this.#lane} early`, () => {
        if (!this.#hasLeft) onEarly?.(partition, records)
      })
    })
    const kick = () => {
      if (!client.isUp || client.isStopped) this.#end("kicked")
    }
    client.onDeath(() => broker.after(faults.sessionMs, kick))
    client.onStop(() => broker.after(faults.sessionMs, kick))
    client.onContinue(() => {
      // Its first heartbeat tells it that it was taken for dead.
      client.after(faults.latencyMs(), () => {
        if (this.#stay?.isOver === true && !this.#hasLeft) this.#rejoin()
      })
    })
  }

  get joined(): Effect.Effect<void, LogError> {
    return Effect.callback((resume) => {
      this.#join((exit) => resume(exit))
    })
  }

  get leave(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.#hasLeft = true
      this.#wires.toBroker.send(this.#lane, () => {
        this.#end(null)
        this.#wires.toClient.send(`${this.#lane} left`, () => resume(Effect.void))
      })
    })
  }

  readonly commit = (
    epoch: number,
    commits: ReadonlyArray<Commit>,
  ): Effect.Effect<void, LogError> => {
    const { faults, client, broker } = this.#options
    return Effect.callback((resume) => {
      const current = this.#current
      const consumer = current?.stay.consumer ?? null
      if (epoch !== this.#epoch || current === null || consumer === null) {
        return resume(Effect.void)
      }
      const isLost = faults.losesCommit()
      if (isLost) {
        const message = "No answer came to a commit."
        const error = new LogError({ reason: "unknownOutcome", message })
        client.after(faults.timeoutMs, () => resume(Effect.fail(error)))
      }
      this.#wires.toBroker.send(this.#lane, () => {
        broker.fork(
          Effect.map(Effect.exit(consumer.commit(current.epoch, commits)), (exit) => {
            if (!isLost) this.#wires.toClient.send(`${this.#lane} commit`, () => resume(exit))
          }),
        )
      })
    })
  }

  readonly pause = (partitions: ReadonlyArray<TopicPartition>): void => {
    for (const key of partitions.map(partitionKey)) if (this.#owned.has(key)) this.#paused.add(key)
  }

  readonly resume = (partitions: ReadonlyArray<TopicPartition>): void => {
    for (const key of partitions.map(partitionKey)) this.#paused.delete(key)
    this.#options.client.after(0, () => this.#deliverKept())
  }

  #join(done: (exit: Exit.Exit<void, LogError>) => void): void {
    const { base, broker } = this.#options
    const stay: Stay = { scope: Scope.makeUnsafe(), consumer: null, isOver: false }
    this.#stay = stay
    const { handler } = this.#consumer
    const toClient = (run: () => void) =>
      this.#wires.toClient.send(this.#lane, () => {
        if (!this.#hasLeft) run()
      })
    const consume = base.consume({
      ...this.#consumer,
      handler: {
        onAssigned: (epoch, partitions) => toClient(() => this.#assigned(stay, epoch, partitions)),
        onRecords: (epoch, partition, records) => this.#send(stay, { epoch, partition, records }),
        onError: (error) => toClient(() => handler.onError(error)),
      },
    })
    this.#wires.toBroker.send(this.#lane, () => {
      broker.fork(
        Effect.map(Effect.exit(Scope.provide(consume, stay.scope)), (exit) => {
          if (Exit.isSuccess(exit)) stay.consumer = exit.value
          if (stay.isOver) broker.fork(Scope.close(stay.scope, Exit.void))
          toClient(() => done(Exit.map(exit, () => undefined)))
        }),
      )
    })
  }

  #rejoin(): void {
    this.#options.count("rejoined")
    this.#join((exit) => {
      if (Exit.isSuccess(exit)) return
      const message = `cannot join again: ${exit.cause}`
      this.#consumer.handler.onError(new LogError({ reason: "unavailable", message }))
    })
  }

  #end(why: "kicked" | null): void {
    const stay = this.#stay
    if (stay === null || stay.isOver) return
    stay.isOver = true
    if (why !== null) this.#options.count(why)
    this.#options.broker.fork(Scope.close(stay.scope, Exit.void))
  }

  #send(stay: Stay, { epoch, partition, records }: Delivery): void {
    let rest = records
    while (rest.length > 0) {
      const some = rest.slice(0, this.#options.faults.portion(rest.length))
      rest = rest.slice(some.length)
      this.#wires.toClient.send(this.#lane, () => {
        if (this.#hasLeft || this.#current?.stay !== stay || this.#current.epoch !== epoch) return
        this.#kept.push({ epoch: this.#epoch, partition, records: some })
        this.#deliverKept()
      })
    }
  }

  #assigned(stay: Stay, epoch: number, partitions: ReadonlyArray<TopicPartition>): void {
    this.#epoch++
    this.#current = { stay, epoch }
    this.#kept = []
    this.#owned = new Set(partitions.map(partitionKey))
    for (const key of this.#paused) if (!this.#owned.has(key)) this.#paused.delete(key)
    this.#consumer.handler.onAssigned(this.#epoch, partitions)
  }

  #deliverKept(): void {
    const kept = this.#kept
    this.#kept = []
    for (const delivery of kept) {
      if (delivery.epoch !== this.#epoch) continue
      if (this.#paused.has(partitionKey(delivery.partition))) this.#kept.push(delivery)
      else this.#consumer.handler.onRecords(delivery.epoch, delivery.partition, delivery.records)
    }
  }
}
