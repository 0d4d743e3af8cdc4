// Seeded randomness of a replay: the same seed gives the same arrivals and prompts in every process
// that takes part, and in every run that is compared with another.

/** mulberry32: 32 bits of state, good enough for words and waiting times. */
export const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
