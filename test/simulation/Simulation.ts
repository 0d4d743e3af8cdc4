// Time and chance of one simulated world: a queue of events in the order of their instants, and the
// machines on which they happen. Everything that may go one way or another is drawn from the seed;
// nothing waits, and nothing runs beside it, so equal seeds give equal runs.
import { Machine } from "./Machine.ts"

interface Planned {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

const isBefore = (a: Planned, b: Planned): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order)

/** A heap: the earliest first, of equal instants the one that was planned first. */
class Agenda {
  readonly #heap: Array<Planned> = []

  get next(): Planned | undefined {
    return this.#heap[0]
  }

  push(planned: Planned): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(planned)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(planned, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = planned
  }

  pop(): Planned | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

export type Draw = {
  /** In [0, 1). */
  readonly next: () => number
  readonly below: (count: number) => number
  readonly between: (least: number, most: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(items: ReadonlyArray<A>) => A
}

/** mulberry32: small, fast, and the same everywhere. */
export const drawsOf = (seed: number): Draw => {
  let state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number): number => Math.floor(next() * count)
  return {
    next,
    below,
    between: (least, most) => least + next() * (most - least),
    chance: (probability) => next() < probability,
    pick: (items) => {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError("nothing to pick from")
      return item
    },
  }
}

/** Where simulated time begins, ms since the epoch. */
const epochMs = 1_763_900_000_000

/** Far above what a run takes: past it, something goes round in circles, and it is given up. */
const eventsMax = 300_000

export class Simulation {
  readonly draw: Draw
  readonly #agenda = new Agenda()
  #now = epochMs
  #order = 0
  #events = 0
  /** Whose code runs now: timers that it sets are its own. */
  current: Machine | null = null
  /** What nobody caught: in a real process it would end the process. */
  readonly uncaught: Array<string> = []

  constructor(seed: number) {
    this.draw = drawsOf(seed)
  }

  get now(): number {
    return this.#now
  }

  get events(): number {
    return this.#events
  }

  plan(afterMs: number, run: () => void): void {
    this.#agenda.push({ at: this.#now + Math.max(0, afterMs), order: this.#order++, run })
  }

  machine(name: string): Machine {
    return new Machine(this, name)
  }

  /** Runs until it holds or the time is over; true where it holds. */
  runUntil(isDone: () => boolean, msMax: number): boolean {
    const until = this.#now + msMax
    while (!isDone()) {
      const planned = this.#agenda.next
      if (planned === undefined || planned.at > until) return false
      if (this.#events === eventsMax) {
        if (this.uncaught.length === 0) this.uncaught.push("it does not come to an end")
        return false
      }
      this.#agenda.pop()
      this.#now = planned.at
      this.#events++
      planned.run()
    }
    return true
  }
}
