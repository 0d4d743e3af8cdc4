// Which waiting request gets the next free slot: weighted shares over the tiers, with ageing. A
// tier that was idle starts level with the others, so a priority request never waits behind flex
// ones; a tier whose head has waited long is charged less, so flex never starves. Pure but for its
// queues; it does not know what a slot is (the caller's `room` does).
import type { Tier } from "../../schemas/types.ts"

export interface Waiting {
  readonly tier: Tier
  /** ms since the epoch */
  readonly arrivedAt: number
  /** Engine sequences that it needs. */
  readonly sequences: number
}

export type Weights = Readonly<Record<Tier, number>>

/** Of 21 slots that all tiers want, 16 go to priority, 4 to default, 1 to flex. */
const usualWeights: Weights = { priority: 16, default: 4, flex: 1 }
const order: ReadonlyArray<Tier> = ["priority", "default", "flex"]

/** A head's weight grows by its own each such period of waiting, up to ageFactorMax times. */
const agePeriodMs = 2_000
const ageFactorMax = 4

interface Lane<A> {
  readonly tier: Tier
  readonly waiting: Set<A>
  /** What the tier was charged so far; the lowest goes next. */
  charged: number
}

export class Admission<A extends Waiting> {
  readonly #lanes: Readonly<Record<Tier, Lane<A>>>
  /** The charge of the tier that was served last: where an idle tier starts again. */
  #level = 0

  readonly #weights: () => Weights

  /** They are asked for at each charge: they may change. */
  constructor(weights: () => Weights = () => usualWeights) {
    this.#weights = weights
    const lane = (tier: Tier): Lane<A> => ({ tier, waiting: new Set(), charged: 0 })
    this.#lanes = { priority: lane("priority"), default: lane("default"), flex: lane("flex") }
  }

  enqueue(item: A): void {
    const lane = this.#lanes[item.tier]
    if (lane.waiting.size === 0) lane.charged = Math.max(lane.charged, this.#level)
    lane.waiting.add(item)
  }

  /** True where it was waiting. */
  remove(item: A): boolean {
    return this.#lanes[item.tier].waiting.delete(item)
  }

  /** Takes the request that goes next among those for whom there is room; null: none. */
  next(nowMs: number, room: (item: A) => boolean): A | null {
    let best: Lane<A> | null = null
    let head: A | null = null
    for (const tier of order) {
      const lane = this.#lanes[tier]
      if (best !== null && lane.charged >= best.charged) continue
      const first = firstWithRoom(lane, room)
      if (first === null) continue
      best = lane
      head = first
    }
    if (best === null || head === null) return null
    best.waiting.delete(head)
    this.#level = best.charged
    best.charged += charge(head, this.#weights()[head.tier], nowMs)
    return head
  }

  depth(tier: Tier): number {
    return this.#lanes[tier].waiting.size
  }

  get size(): number {
    return order.reduce((sum, tier) => sum + this.#lanes[tier].waiting.size, 0)
  }

  forEach(visit: (item: A) => void): void {
    for (const tier of order) for (const item of this.#lanes[tier].waiting) visit(item)
  }
}

/** The head; requests behind it never overtake it within a tier. */
const firstWithRoom = <A>(lane: Lane<A>, room: (item: A) => boolean): A | null => {
  for (const head of lane.waiting) return room(head) ? head : null
  return null
}

const charge = (item: Waiting, weight: number, nowMs: number): number => {
  const waitedMs = Math.max(0, nowMs - item.arrivedAt)
  const age = Math.min(1 + waitedMs / agePeriodMs, ageFactorMax)
  return item.sequences / (weight * age)
}
