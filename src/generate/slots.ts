// The engine's places: who sits in one, which handle is whose, and who may still come in. A tier
// sees only the load of its own rank and above, so a priority request goes in while flex ones fill
// the batch and the engine preempts; the engine's waiting queue stays at most two batches deep.
import type { Tier } from "../../schemas/types.ts"
import type { Engine, SubmitRefusal } from "./engine/Engine.ts"
import { type Choice, sequenceOf } from "./generation.ts"
import type { InFlight } from "./inFlight.ts"

const rankOf: Readonly<Record<Tier, number>> = { priority: 0, default: 1, flex: 2 }

const handleMax = 2 ** 32 - 1

export interface Seat {
  readonly item: InFlight
  readonly choice: Choice
}

export type HardRefusal = Exclude<SubmitRefusal, "queueFull">

export class Slots {
  readonly #engine: Engine["Service"]
  readonly #seats = new Map<number, Seat>()
  /** Choices that the engine's full queue sent back, oldest first. */
  readonly #delayed = new Set<Seat>()
  readonly #load = [0, 0, 0]
  /** Adopted requests that have claimed and have no token since. */
  readonly #adopting = new Set<InFlight>()
  readonly #adoptTokensMax: number
  #lastHandle = 0

  /** `adoptTokensMax`: of prompts and logged ids that claimed requests wait to have computed. */
  constructor(engine: Engine["Service"], adoptTokensMax: number) {
    this.#engine = engine
    this.#adoptTokensMax = adoptTokensMax
  }

  /** A request that is bigger than the engine's batch may come in when nothing of its rank runs. */
  readonly room = (item: InFlight): boolean => {
    if (item.history !== null && !this.#mayAdopt(item)) return false
    const load = this.#loadUpTo(rankOf[item.tier])
    return load === 0 || load + item.sequences <= this.#engine.info.sequencesMax
  }

  take(item: InFlight): void {
    item.seated = item.sequences
    this.#load[rankOf[item.tier]]! += item.seated
    if (item.history !== null) this.#adopting.add(item)
  }

  /** Submits every choice that is not over; the first hard refusal, or null. */
  submit(item: InFlight): HardRefusal | null {
    for (const choice of item.generation?.choices ?? []) {
      if (choice.finished) this.#leave(item)
      else {
        const refusal = this.#submit({ item, choice })
        if (refusal !== null) return refusal
      }
    }
    return null
  }

  /** Tries those again that found the engine's queue full. Returns refused ones with the reason. */
  submitDelayed(onRefused: (item: InFlight, refusal: HardRefusal) => void): void {
    for (const seat of this.#delayed) {
      this.#delayed.delete(seat)
      const refusal = this.#submit(seat)
      if (refusal !== null) onRefused(seat.item, refusal)
      if (this.#delayed.has(seat)) return
    }
  }

  seat(handle: number): Seat | undefined {
    return this.#seats.get(handle)
  }

  /** The choice is over; the engine knows, or is told where it does not. */
  endChoice(handle: number, seat: Seat, tellEngine: boolean): void {
    if (!this.#seats.delete(handle)) return
    if (tellEngine) this.#engine.cancel(handle)
    this.#leave(seat.item)
  }

  /** Takes all of a request's choices out of the engine and gives its slots back. */
  stop(item: InFlight): void {
    for (const choice of item.generation?.choices ?? []) {
      const seat = this.#seats.get(choice.sequence)
      if (seat?.choice !== choice) continue
      this.#seats.delete(choice.sequence)
      this.#engine.cancel(choice.sequence)
    }
    for (const seat of this.#delayed) if (seat.item === item) this.#delayed.delete(seat)
    this.#load[rankOf[item.tier]]! -= item.seated
    item.seated = 0
    this.progressed(item)
  }

  /** It has a token, or is gone. */
  progressed(item: InFlight): void {
    this.#adopting.delete(item)
  }

  /**
   * A claim without a token counts against a request when its worker dies, so requests are claimed
   * shortly before the engine comes to them, and suspects one at a time with nobody beside them.
   */
  #mayAdopt(item: InFlight): boolean {
    if (this.#adopting.size === 0) return true
    if (item.isSuspect) return false
    let tokens = item.tokensToCompute
    for (const other of this.#adopting) {
      if (other.isSuspect) return false
      tokens += other.tokensToCompute
    }
    return tokens <= this.#adoptTokensMax
  }

  get used(): number {
    return this.#loadUpTo(2)
  }

  #loadUpTo(rank: number): number {
    let load = 0
    for (let i = 0; i <= rank; i++) load += this.#load[i]!
    return load
  }

  #leave(item: InFlight): void {
    if (item.seated === 0) return
    item.seated--
    this.#load[rankOf[item.tier]]!--
  }

  #submit(seat: Seat): HardRefusal | null {
    const handle = this.#nextHandle()
    const refusal = this.#engine.submit(sequenceOf(seat.choice, handle, rankOf[seat.item.tier]))
    if (refusal === "queueFull") {
      this.#delayed.add(seat)
      return null
    }
    if (refusal !== null) return refusal
    seat.choice.sequence = handle
    this.#seats.set(handle, seat)
    return null
  }

  #nextHandle(): number {
    do {
      this.#lastHandle = this.#lastHandle >= handleMax ? 1 : this.#lastHandle + 1
    } while (this.#seats.has(this.#lastHandle))
    return this.#lastHandle
  }
}
