// The worker without its logs' and timers' machinery: all of its parts put together, as plain calls
// in (records, steps, frames, commands, deadlines) and plain calls out. A turn is one such call in,
// and ends by starting what there is room for and sending what is due.
import type { Tier } from "../../schemas/types.ts"
import type { LogError, TopicPartition } from "../../streams/Log.ts"
import type { RequestRecord } from "../../streams/RequestLog.ts"
import type { MakeTextStream } from "../tokenizer/TextStream.ts"
import type { TokenizerModel } from "../tokenizer/Tokenizer.ts"
import { Admission, type Weights } from "./admission.ts"
import { Assignment, type Owned } from "./assignment.ts"
import { Backlog, type BacklogBound } from "./backlog.ts"
import type { Burial } from "./bury.ts"
import { Deadlines } from "./deadline.ts"
import { Early, type EarlyRequest } from "./early.ts"
import type { Engine } from "./engine/Engine.ts"
import type { StepOutput } from "./engine/stepOutput.ts"
import { FrameWriter, type FrameWriterOptions } from "./flush.ts"
import { type InFlight, InFlightTable } from "./inFlight.ts"
import { Intake } from "./intake.ts"
import { Lifecycle } from "./lifecycle.ts"
import type { LifecycleEvents } from "./lifecycleParts.ts"
import type { Progress } from "./progress.ts"
import { Slots } from "./slots.ts"
import { TokenTail } from "./tail.ts"

export interface CoreOptions {
  readonly workerId: string
  readonly engine: Engine["Service"]
  readonly makeText: MakeTextStream
  readonly tokenizer: TokenizerModel
  readonly tierOf: ReadonlyMap<string, Tier>
  /** Of the tiers' shares; asked for each time. */
  readonly weights: () => Weights
  /** Where the tail of each token partition begins. */
  readonly tailStarts: ReadonlyArray<number>
  readonly backlog: BacklogBound
  readonly claimsMax: number
  readonly adoptTokensMax: number
  readonly flushMs: number
  readonly retryMs: number
  readonly patienceMs: number
  /** How long another worker keeps a request that it won but whose partition is ours. */
  readonly yieldMs: number
  readonly now: () => number
  readonly after: (ms: number, run: () => void) => void
  readonly append: FrameWriterOptions["append"]
  readonly onLost: (error: LogError) => void
  readonly wantsHistory: (item: InFlight) => void
  readonly bury: (burial: Burial) => void
  readonly progress: Progress
}

export class Core {
  readonly table = new InFlightTable()
  readonly assignment: Assignment
  readonly admission: Admission<InFlight>
  readonly slots: Slots
  readonly writer: FrameWriter
  readonly lifecycle: Lifecycle
  readonly tail: TokenTail
  readonly backlog: Backlog
  readonly #deadlines = new Deadlines<InFlight>()
  readonly #intake: Intake
  readonly #options: CoreOptions

  constructor(options: CoreOptions) {
    const { workerId, tailStarts, now } = options
    const partitions = tailStarts.length
    this.#options = options
    this.assignment = new Assignment(options.tierOf)
    this.admission = new Admission(options.weights)
    this.slots = new Slots(options.engine, options.adoptTokensMax)
    this.writer = new FrameWriter({ ...options, partitions })
    const { table, admission, slots, writer, assignment } = this
    this.lifecycle = new Lifecycle(
      { ...options, table, admission, slots, writer, deadlines: this.#deadlines },
      this.#events(),
    )
    const { lifecycle } = this
    this.tail = new TokenTail({ workerId, table, lifecycle, starts: tailStarts })
    this.backlog = new Backlog(options.backlog, table, assignment)
    this.#intake = new Intake({
      table,
      assignment,
      lifecycle,
      tail: this.tail,
      early: new Early({ table, tail: this.tail, writer, lifecycle, after: options.after }),
      tokenPartitions: partitions,
      now,
      bury: options.bury,
    })
  }

  #events(): LifecycleEvents {
    const { wantsHistory, bury, progress } = this.#options
    return {
      wantsHistory,
      settled: (item) => {
        this.tail.noteSettled(item.request.requestId)
        this.assignment.done(item.origins)
        progress.ended(item)
      },
      yielded: (item) => {
        progress.fenced(item)
        this.#yielded(item)
      },
      watchOwn: (partition, by) => this.tail.watchOwn(partition, by),
      awaitTail: (item, offset) => this.tail.awaitPassing(item, offset),
      adopted: (item) => progress.adopted(item),
      dead: (item, code, message) => {
        progress.dead(item)
        bury({ item, origin: item.origins[0]!, record: item.record, code, message })
      },
    }
  }

  /** Ends every call in: what may start, may be read, may be sent. */
  turn(): void {
    this.lifecycle.admit()
    this.backlog.check()
    this.writer.flush()
  }

  /** The whole new assignment; returns what came new, whose end has to be looked up. */
  onAssigned(epoch: number, partitions: ReadonlyArray<TopicPartition>): ReadonlyArray<Owned> {
    const added = this.assignment.assign(epoch, partitions)
    for (const item of this.table.values()) {
      // What runs goes on until its new owner claims it: the client sees no gap.
      const isIdle = item.phase === "reading" || item.phase === "waiting"
      if ((isIdle || item.phase === "yielded") && !this.assignment.isOurs(item)) {
        this.lifecycle.drop(item)
      }
    }
    this.backlog.reapply()
    this.turn()
    return added
  }

  onRecords(partition: TopicPartition, records: ReadonlyArray<RequestRecord>): void {
    this.#intake.onRecords(partition, records)
    this.turn()
  }

  /** These are being appended, perhaps in vain. */
  onEarly(partition: TopicPartition, requests: ReadonlyArray<EarlyRequest>): void {
    this.#intake.onEarly(partition, requests)
    this.turn()
  }

  onStep(step: StepOutput): void {
    this.lifecycle.onStep(step)
    this.turn()
  }

  onCancelled(requestId: string): void {
    const item = this.table.get(requestId)
    if (item === undefined) return
    this.lifecycle.cancel(item)
    this.turn()
  }

  onHistory(item: InFlight): void {
    this.lifecycle.read(item)
  }

  onBuried({ item, origin, code, message }: Burial): void {
    if (item === null) this.assignment.done([origin])
    else this.lifecycle.buried(item, code, message)
    this.turn()
  }

  /** Called every few ten milliseconds. */
  expire(): void {
    const due = this.#deadlines.take(this.#options.now())
    if (due.length === 0) return
    for (const item of due) this.lifecycle.expire(item)
    this.turn()
  }

  /** Takes everything out of the engine and leaves it to the log; nothing is ended. */
  abandon(): void {
    for (const item of this.table.values()) this.slots.stop(item)
    this.writer.flushAll()
  }

  /** Requests in a phase from which they still come to an end by themselves. */
  count(...phases: ReadonlyArray<InFlight["phase"]>): number {
    let count = 0
    for (const item of this.table.values()) if (phases.includes(item.phase)) count++
    return count
  }

  #yielded(item: InFlight): void {
    if (!this.assignment.isOurs(item)) return this.lifecycle.drop(item)
    this.#options.after(this.#options.yieldMs, () => {
      this.lifecycle.retry(item)
      this.turn()
    })
  }
}
