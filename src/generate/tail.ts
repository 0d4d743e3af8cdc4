// What the token log says while requests are in flight here: claims of others, terminal entries, and
// own claims coming back. Frames that this worker wrote are skipped undecoded unless an own claim is
// awaited, so that following costs next to nothing on the way of the tokens.
import type { TokenEntry, TokenFrame } from "../../schemas/types.ts"
import type { InFlight, InFlightTable } from "./inFlight.ts"
import type { Lifecycle } from "./lifecycle.ts"
import { RecentIds } from "./recentIds.ts"

/** Requests that were cancelled or expired before their record arrived; a lost one wastes steps only. */
const settledEarlyMax = 65_536

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
  readonly #settledEarly = new RecentIds(settledEarlyMax)

  constructor(options: TokenTailOptions) {
    this.#options = options
    this.#followers = options.starts.map((next) => ({ next, watched: 0, awaited: [] }))
  }

  next(partition: number): number {
    return this.#follower(partition).next
  }

  /** True where a terminal entry was seen before the request's record. */
  isSettledEarly(requestId: string): boolean {
    return this.#settledEarly.has(requestId)
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
    if (item === undefined) {
      if (!isOwn && settlesAlways(entry)) this.#settledEarly.add(entry.requestId)
      return
    }
    const { history } = item
    if (history !== null && offset >= history.next) {
      history.apply(frame.writer, entry)
      if (history.isSettled) return lifecycle.settle(item)
    }
    if (entry.kind === "AttemptClaimed") {
      if (isOwn) lifecycle.ownClaim(item, entry.attempt, offset)
      else lifecycle.rivalClaim(item, entry.attempt, offset)
    } else if (!isOwn && settlesAlways(entry)) lifecycle.settle(item)
    else if (!isOwn && mayEnd(entry)) lifecycle.retry(item)
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
