// How fast promised tokens are worked off, measured in the unit in which they are promised: a
// request that ends early gives back all that was reserved for it. A higher rate counts at once, a
// lower one only while the workers were saturated: an idle worker is not a slow one.

const windowMs = 1_000
/** In which a rate that fell is believed by half. */
const halfLifeMs = 10_000

export class DrainRate {
  #estimate = 0
  #windowStart: number
  #windowTokens = 0
  #saturated = true

  constructor(nowMs: number) {
    this.#windowStart = nowMs
  }

  add(tokens: number): void {
    this.#windowTokens += tokens
  }

  /** Tokens a second; 0 while nothing was measured. */
  perSecond(nowMs: number, saturated: boolean): number {
    this.#saturated &&= saturated
    const elapsedMs = nowMs - this.#windowStart
    if (elapsedMs >= windowMs) {
      const rate = (this.#windowTokens * 1000) / elapsedMs
      if (rate > this.#estimate) this.#estimate = rate
      else if (this.#saturated) {
        this.#estimate += (rate - this.#estimate) * (1 - 0.5 ** (elapsedMs / halfLifeMs))
      }
      this.#windowStart = nowMs
      this.#windowTokens = 0
      this.#saturated = true
    }
    return this.#estimate
  }
}
