// How far one request partition may be committed: everything below its lowest unfinished offset.
// Pure bookkeeping; it promises that the mark never moves back and never passes an unfinished
// offset.
//
//     committed          mark                       next
//   ----[=====done=======|open, done, open, done ...)------
//
// Offsets are added in ascending order, so the open set's first element is its lowest.

export class Watermark {
  readonly #open = new Set<number>()
  #next = -1
  #taken = -1

  /** False: the offset was seen before, so the record is a redelivery. */
  add(offset: number): boolean {
    if (offset < this.#next) return false
    this.#next = offset + 1
    this.#open.add(offset)
    return true
  }

  done(offset: number): void {
    this.#open.delete(offset)
  }

  /** The next offset to be read by a successor; null where nothing was seen yet. */
  get mark(): number | null {
    if (this.#next < 0) return null
    for (const lowest of this.#open) return lowest
    return this.#next
  }

  /** The mark where it moved since it was last taken, else null. */
  take(): number | null {
    const mark = this.mark
    if (mark === null || mark <= this.#taken) return null
    this.#taken = mark
    return mark
  }

  /** What was taken was not used: the next take gives the mark again. */
  untake(): void {
    this.#taken = -1
  }

  get open(): number {
    return this.#open.size
  }
}
