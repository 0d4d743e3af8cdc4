// Follows partitions by long polls, one at a time to each leader, over connections of its own. A
// partition may come, go, pause or change its leader while a poll waits: the poll is cut short and
// begins again with what holds now. An outage ends nothing: it looks until there are leaders again.
import { setTimeout as sleep } from "node:timers/promises"
import type { Follower, FollowerOptions } from "../../follow/Followers.ts"
import { belowFirst } from "../../follow/RecordSource.ts"
import type { LogError, LogRecord } from "../../Log.ts"
import { partitionKey } from "../../partitionKey.ts"
import type { KafkaReader } from "../read.ts"
import { type Cluster, type Wire } from "../wire/Cluster.ts"
import { BrokerError, codes, toLogError } from "../wire/errors.ts"
import { type Fetched, fetchFrom } from "../wire/fetch.ts"

/** Kafka answers a poll as soon as there is a record: a long wait costs no latency. */
const waitMs = 1000
const pollBytesMax = 2 * 1024 * 1024
const partitionBytesMax = 256 * 1024

interface Position {
  readonly options: FollowerOptions
  readonly key: string
  offset: number
  paused: boolean
  closed: boolean
  /** What arrived while it was paused: of one poll at most. */
  held: ReadonlyArray<LogRecord>
  /** The leader whose poll it takes part in. */
  polledAt: number | null
  /** Its offset was out of range, and it is being found where to go on. */
  searching: boolean
}

interface Poll {
  cut: boolean
}

export class Fetcher {
  readonly #cluster: Cluster
  readonly #reader: KafkaReader
  readonly #wire: Wire
  readonly #positions = new Set<Position>()
  readonly #polls = new Map<number, Poll>()
  #pumpDue = false
  #looking = false
  #lookMs: number
  #closed = false

  constructor(cluster: Cluster, reader: KafkaReader) {
    this.#cluster = cluster
    this.#reader = reader
    this.#wire = cluster.newWire()
    this.#lookMs = cluster.retry.firstMs
  }

  /** Nothing is delivered before the next turn of the event loop. */
  follow(options: FollowerOptions): Follower {
    const position: Position = {
      options,
      key: partitionKey(options.partition),
      offset: options.offset,
      paused: false,
      closed: false,
      held: [],
      polledAt: null,
      searching: false,
    }
    this.#positions.add(position)
    this.#pumpSoon()
    return {
      partition: options.partition,
      pause: () => {
        position.paused = true
      },
      resume: () => {
        position.paused = false
        this.#pumpSoon()
      },
      close: () => this.#end(position),
    }
  }

  close(): void {
    this.#closed = true
    for (const position of this.#positions) position.closed = true
    this.#positions.clear()
    this.#cluster.closeWire(this.#wire)
  }

  #pumpSoon(): void {
    if (this.#pumpDue) return
    this.#pumpDue = true
    setImmediate(() => {
      this.#pumpDue = false
      this.#pump()
    })
  }

  /** Every partition that may be polled takes part in its leader's poll. */
  #pump(): void {
    if (this.#closed) return
    const joining = new Map<number, Array<Position>>()
    let leaderless = false
    for (const position of this.#positions) {
      this.#release(position)
      if (position.closed || position.paused || position.searching) continue
      const leader = this.#cluster.leaderOf(position.options.partition)
      if (leader === null) leaderless = true
      else if (position.polledAt === null) push(joining, leader, position)
      else if (position.polledAt !== leader) this.#cut(position.polledAt)
    }
    for (const [leader, positions] of joining) {
      if (this.#polls.has(leader)) this.#cut(leader)
      else void this.#poll(leader, positions)
    }
    if (leaderless) void this.#look()
  }

  /** What was held for a paused partition comes first when it is resumed. */
  #release(position: Position): void {
    if (position.paused || position.held.length === 0) return
    const records = position.held
    position.held = []
    if (!position.closed) position.options.onRecords(records)
  }

  /** The poll ends without an answer; whoever took part joins the next. */
  #cut(leader: number): void {
    const poll = this.#polls.get(leader)
    if (poll === undefined || poll.cut) return
    poll.cut = true
    try {
      this.#wire.node(leader).close()
    } catch {
      // The broker left the cluster: its poll fails by itself.
    }
  }

  async #poll(leader: number, positions: ReadonlyArray<Position>): Promise<void> {
    const poll: Poll = { cut: false }
    this.#polls.set(leader, poll)
    for (const position of positions) position.polledAt = leader
    let answer: ReadonlyMap<string, Fetched> | null = null
    try {
      const wanted = positions.map(({ options: { partition }, offset }) => ({
        partition,
        offset,
        bytesMax: partitionBytesMax,
      }))
      const node = this.#wire.node(leader)
      answer = await fetchFrom(node, wanted, { waitMs, bytesMax: pollBytesMax })
    } catch {
      // Whatever it was, the leaders are looked up again below.
    }
    this.#polls.delete(leader)
    let stale = answer === null && !poll.cut
    for (const position of positions) {
      position.polledAt = null
      const fetched = answer?.get(position.key)
      if (fetched !== undefined && !this.#take(position, fetched)) stale = true
    }
    if (this.#closed) return
    if (stale) await this.#look()
    else {
      if (answer !== null) this.#lookMs = this.#cluster.retry.firstMs
      this.#pump()
    }
  }

  /** False where the leader should be looked up again. */
  #take(position: Position, { code, batches }: Fetched): boolean {
    if (position.closed) return true
    if (code === codes.offsetOutOfRange) {
      void this.#search(position)
      return true
    }
    if (code !== codes.none) {
      const error = new BrokerError(code, `${position.key}: Kafka answers error ${code}`)
      if (!error.passing) this.#fail(position, toLogError(error))
      return !error.passing
    }
    const records = batches
      .flatMap((batch) => batch.records)
      .filter(({ offset }) => offset >= position.offset)
    position.offset = batches.at(-1)?.nextOffset ?? position.offset
    if (records.length === 0) return true
    if (position.paused) position.held = records
    else position.options.onRecords(records)
    return true
  }

  /** Retention has passed the offset, or a new leader does not have it yet. */
  async #search(position: Position): Promise<void> {
    position.searching = true
    const { partition, overtaken } = position.options
    try {
      const { first } = await this.#reader.bounds(partition)
      if (position.offset < first) {
        if (overtaken === "fail") {
          this.#fail(position, belowFirst(partition, position.offset, first))
        } else position.offset = first
      } else await sleep(this.#cluster.retry.mostMs)
    } catch {
      await sleep(this.#cluster.retry.mostMs)
    }
    position.searching = false
    this.#pump()
  }

  /** Until somebody leads again. */
  async #look(): Promise<void> {
    if (this.#looking || this.#closed) return
    this.#looking = true
    await sleep(this.#lookMs)
    this.#lookMs = Math.min(this.#cluster.retry.mostMs, this.#lookMs * 2)
    await this.#cluster.refresh().catch(() => undefined)
    this.#looking = false
    this.#pump()
  }

  #fail(position: Position, error: LogError): void {
    this.#end(position)
    position.options.onError(error)
  }

  #end(position: Position): void {
    position.closed = true
    this.#positions.delete(position)
  }
}

const push = (groups: Map<number, Array<Position>>, leader: number, position: Position): void => {
  const group = groups.get(leader)
  if (group === undefined) groups.set(leader, [position])
  else group.push(position)
}
