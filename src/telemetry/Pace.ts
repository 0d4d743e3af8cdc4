// How fast something is worked off, measured as it happens, and from that how long so much of it
// takes: what a refusal says of when to come again. Recent measures count more.

const weight = 0.1
const waitMsMin = 500
const waitMsMax = 60_000
/** Before anything was measured. */
const unknownMs = 1_000

export class Pace {
  #msEach: number | null = null

  /** So many took so long, one after another. */
  took(count: number, ms: number): void {
    if (count <= 0) return
    const each = Math.max(0, ms) / count
    this.#msEach = this.#msEach === null ? each : this.#msEach + (each - this.#msEach) * weight
  }

  waitMs(count: number): number {
    const ms = this.#msEach === null ? unknownMs : this.#msEach * count
    return Math.min(waitMsMax, Math.max(waitMsMin, Math.ceil(ms)))
  }
}
