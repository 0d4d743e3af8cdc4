// What the token log says while requests are in flight here: claims of others, terminal entries,
// and own claims coming back. Frames that this worker wrote are skipped undecoded unless an own
// claim is awaited, so that following costs next to nothing on the way of the tokens.
import type { TokenEntry, TokenFrame } from "../../schemas/types.ts"
import { RecentIds } from "../../streams/recentIds.ts"
import type { InFlight, InFlightTable } from "./inFlight.ts"
import type { Lifecycle } from "./lifecycle.ts"

/**
 * Ids of requests that are over: a record that comes late or again is not run. About 100 bytes
 * each.
 */
const settledMax = 65_536
/**
 * Ids that others claimed while this worker had not read the record: four minutes of 1,000 a
 * second.
 */
const touchedMax = 262_144

interface Awaited {
  readonly item: InFlight
  readonly offset: number
}

interface Follower {
  /** Every frame below it was seen. */
  next: number
  /** Own claims that are awaited. */
  watched: number
  /** Terminal entries whose offset the tail has still to pass, ascending. */
  readonly awaited: Array<Awaited>
}

export interface TokenTailOptions {
  readonly workerId: string
  readonly table: InFlightTable
  readonly lifecycle: Lifecycle
  /** By partition: where the tail begins. */
  readonly starts: ReadonlyArray<number>
}

export class TokenTail {
  readonly #options: TokenTailOptions
  readonly #followers: ReadonlyArray<Follower>
  readonly #settled = new RecentIds(settledMax)
  readonly #touched = new RecentIds(touchedMax)

  constructor(options: TokenTailOptions) {
    this.#options = options
    this.#followers = options.starts.map((next) => ({ next, watched: 0, awaited: [] }))
  }

  next(partition: number): number {
    return this.#follower(partition).next
  }

  /** True where the request is known to be over. */
  isSettled(requestId: string): boolean {
    return this.#settled.has(requestId)
  }

  /** True where another worker's claim was seen before the request's record was read here. */
  isTouched(requestId: string): boolean {
    return this.#touched.has(requestId)
  }

  noteSettled(requestId: string): void {
    this.#settled.add(requestId)
  }

  /** Whether frames of this worker are to be decoded. */
  wantsOwn(partition: number): boolean {
    return this.#follower(partition).watched > 0
  }

  watchOwn(partition: number, by: 1 | -1): void {
    this.#follower(partition).watched += by
  }

  awaitPassing(item: InFlight, offset: number): void {
    const follower = this.#follower(item.tokenPartition)
    if (follower.next > offset) this.#options.lifecycle.passed(item)
    else follower.awaited.push({ item, offset })
  }

  /** The next frame of the partition; null: an own one that nobody wanted decoded. */
  onFrame(partition: number, offset: number, frame: TokenFrame | null): void {
    if (frame !== null) for (const entry of frame.entries) this.#observe(entry, frame, offset)
    const follower = this.#follower(partition)
    follower.next = offset + 1
    while (follower.awaited.length > 0 && follower.awaited[0]!.offset <= offset) {
      this.#options.lifecycle.passed(follower.awaited.shift()!.item)
    }
  }

  #observe(entry: TokenEntry, frame: TokenFrame, offset: number): void {
    const { table, lifecycle, workerId } = this.#options
    const item = table.get(entry.requestId)
    const isOwn = frame.writer === workerId
    if (item === undefined) return isOwn ? undefined : this.#remember(entry)
    const { history } = item
    if (history !== null && offset >= history.next) {
      history.apply(frame, entry)
      if (history.isSettled) return lifecycle.settle(item)
    }
    if (entry.kind === "AttemptClaimed") {
      if (isOwn) lifecycle.ownClaim(item, entry.attempt, offset)
      else lifecycle.rivalClaim(item, entry.attempt, offset)
    } else if (!isOwn && settlesAlways(entry)) lifecycle.settle(item)
    else if (!isOwn && mayEnd(entry)) lifecycle.retry(item)
  }

  /** Of a request whose record has not come, or will never come to this worker. */
  #remember(entry: TokenEntry): void {
    if (settlesAlways(entry)) this.#settled.add(entry.requestId)
    else if (entry.kind === "AttemptClaimed") this.#touched.add(entry.requestId)
  }

  #follower(partition: number): Follower {
    const follower = this.#followers[partition]
    if (follower === undefined) throw new RangeError(`no token partition ${partition}`)
    return follower
  }
}

/** Whoever wrote it: the request is over with it, or was before. */
const settlesAlways = ({ kind }: TokenEntry) =>
  kind === "Cancelled" || kind === "Expired" || kind === "DeadLettered"

/** Over if the writer held the request: the fold knows. */
const mayEnd = ({ kind }: TokenEntry) =>
  kind === "GenerationFinished" || kind === "GenerationFailed"
