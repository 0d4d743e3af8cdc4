// The search for the highest rate that holds, against servers that are known.
import { assert, describe, it } from "@effect/vitest"
import { seeded } from "../../../src/replay/plan/random.ts"
import {
  afterProbe,
  judge,
  requestsNeeded,
  shareInterval,
  startSearch,
} from "../../../src/replay/search/rateSearch.ts"

/** `goodAt`: the share of a server's requests that are good at a rate. */
const search = (goodAt: (perSecond: number) => number, seed: number, startPerSecond = 1) => {
  const random = seeded(seed)
  let state = startSearch({ startPerSecond, goal: 0.9, withinShare: 0.05 })
  while (state.next !== null) {
    const perSecond = state.next
    const due = 600
    const share = goodAt(perSecond)
    const good = Array.from({ length: due }).filter(() => random() < share).length
    state = afterProbe(state, { perSecond, due, good })
  }
  return state
}

describe("the search for a rate", () => {
  it("finds where a server breaks, from any start", () => {
    for (const capacity of [0.3, 7, 430]) {
      for (const startPerSecond of [0.1, 1, 1000]) {
        const state = search((rate) => (rate <= capacity ? 0.999 : 0.2), 3, startPerSecond)
        assert.isAtMost(state.holds, capacity)
        assert.isAbove(state.holds, capacity * 0.9, `${capacity} from ${startPerSecond}`)
        assert.isBelow(state.probes.length, 25)
      }
    }
  })

  it("does not call a rate good that is not surely so", () => {
    // At exactly the goal nothing is sure: only what lies clearly above it may hold.
    for (let seed = 1; seed <= 20; seed++) {
      const state = search((rate) => 1 - rate / 1000, seed, 10)
      assert.isBelow(state.holds, 115)
      assert.isAbove(state.holds, 40)
    }
  })

  it("ends where nothing holds, and where everything does", () => {
    assert.strictEqual(search(() => 0, 1).holds, 0)
    assert.isAbove(search(() => 1, 1).holds, 50_000)
  })

  it("needs enough requests to be sure", () => {
    assert.strictEqual(judge(10, 10, 0.99), "unsure")
    const needed = requestsNeeded(0.99)
    assert.strictEqual(judge(needed, needed, 0.99), "holds")
    assert.isBelow(needed, 500)
    const [low, high] = shareInterval(90, 100)
    assert.closeTo(low, 0.826, 0.001)
    assert.closeTo(high, 0.945, 0.001)
    assert.deepStrictEqual(shareInterval(0, 0), [0, 1])
  })
})
