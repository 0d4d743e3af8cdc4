// Which requests' deadlines have come. Requests stand in buckets of bucketMs by their deadline, so
// that adding and ending cost nothing to speak of and a request that ended is not held until its
// deadline. Never early; late by at most one bucket and the caller's own period.

export interface Due {
  /** ms since the epoch */
  readonly deadline: number
}

const bucketMs = 50

export class Deadlines<A extends Due> {
  readonly #buckets = new Map<number, Set<A>>()
  /** Every bucket below it was taken. */
  #from = 0

  add(item: A): void {
    const at = this.#bucketOf(item)
    const bucket = this.#buckets.get(at)
    if (bucket === undefined) this.#buckets.set(at, new Set([item]))
    else bucket.add(item)
  }

  remove(item: A): void {
    const at = Math.ceil(item.deadline / bucketMs)
    // An item that was late when it was added stands in a later bucket than its own.
    for (const key of at < this.#from ? [at, this.#from] : [at]) {
      const bucket = this.#buckets.get(key)
      if (bucket?.delete(item) === true && bucket.size === 0) this.#buckets.delete(key)
    }
  }

  /** Takes all that are due. */
  take(nowMs: number): ReadonlyArray<A> {
    const until = Math.floor(nowMs / bucketMs) + 1
    const due: Array<A> = []
    for (const key of this.#keysBelow(until)) {
      const bucket = this.#buckets.get(key)
      if (bucket === undefined) continue
      this.#buckets.delete(key)
      due.push(...bucket)
    }
    this.#from = Math.max(this.#from, until)
    return due
  }

  #bucketOf(item: A): number {
    return Math.max(this.#from, Math.ceil(item.deadline / bucketMs))
  }

  /** After a long pause or a clock jump there are fewer buckets than instants to look at. */
  #keysBelow(until: number): Iterable<number> {
    const span = until - this.#from
    if (span > this.#buckets.size) return [...this.#buckets.keys()].filter((key) => key < until)
    return Array.from({ length: Math.max(0, span) }, (_, i) => this.#from + i)
  }
}
