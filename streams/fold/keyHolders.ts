// Which request holds an idempotency key: the fold of the key log, the same on every gateway. Pure:
// what a claim does depends on the claims before it and on the log's own times, never on a clock.
//
//   a key nobody holds, or held for longer than keys live    the claim holds it
//   a key that the request holds which the claim replaces    the claim holds it
//   any other                                                the claim is void
import type { KeyClaimed } from "../../schemas/types.ts"

export interface KeyHolder {
  readonly requestId: string
  readonly bodyDigest: string
  /** ms since the epoch, by the log's clock */
  readonly claimedAt: number
}

export class KeyHolders {
  readonly #livesMs: number
  /** In the order of their claims. */
  readonly #held = new Map<string, KeyHolder>()

  constructor(livesMs: number) {
    this.#livesMs = livesMs
  }

  /** The next claim in log order. */
  apply({ keyDigest, bodyDigest, requestId, replaces }: KeyClaimed, claimedAt: number): void {
    const holder = this.#held.get(keyDigest)
    if (holder !== undefined) {
      if (!this.#isOver(holder, claimedAt) && holder.requestId !== replaces) return
      this.#held.delete(keyDigest)
    }
    this.#held.set(keyDigest, { requestId, bodyDigest, claimedAt })
    this.#forget(claimedAt)
  }

  holder(keyDigest: string, nowMs: number): KeyHolder | null {
    const holder = this.#held.get(keyDigest)
    return holder === undefined || this.#isOver(holder, nowMs) ? null : holder
  }

  get size(): number {
    return this.#held.size
  }

  /** How long until the oldest key is over; 0 where there is none. */
  oldestEndsInMs(nowMs: number): number {
    this.#forget(nowMs)
    for (const { claimedAt } of this.#held.values()) return claimedAt + this.#livesMs - nowMs
    return 0
  }

  #forget(nowMs: number): void {
    for (const [keyDigest, holder] of this.#held) {
      if (!this.#isOver(holder, nowMs)) return
      this.#held.delete(keyDigest)
    }
  }

  #isOver({ claimedAt }: KeyHolder, nowMs: number): boolean {
    return nowMs - claimedAt > this.#livesMs
  }
}
