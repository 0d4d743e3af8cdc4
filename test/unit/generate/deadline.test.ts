import { describe, expect, it } from "vitest"
import { Deadlines } from "../../../src/generate/deadline.ts"

const due = (deadline: number) => ({ deadline })

describe("deadlines", () => {
  it("are never early and late by a bucket at most", () => {
    for (const deadline of [1_000_000, 1_000_001, 1_000_049, 1_000_050]) {
      const deadlines = new Deadlines()
      deadlines.add(due(deadline))
      let now = 999_000
      while (deadlines.take(now).length === 0) now++
      expect(now).toBeGreaterThanOrEqual(deadline)
      expect(now - deadline).toBeLessThan(50)
    }
  })

  it("forget what ended", () => {
    const deadlines = new Deadlines<{ deadline: number }>()
    const items = [due(500), due(510), due(900)]
    for (const item of items) deadlines.add(item)
    deadlines.remove(items[0]!)
    expect(deadlines.take(2000)).toEqual([items[1], items[2]])
    expect(deadlines.take(4000)).toEqual([])
  })

  it("take what was late when it came, unless it ended", () => {
    const deadlines = new Deadlines<{ deadline: number }>()
    deadlines.take(10_000)
    const late = due(400)
    const ended = due(300)
    deadlines.add(late)
    deadlines.add(ended)
    deadlines.remove(ended)
    expect(deadlines.take(10_050)).toEqual([late])
  })

  it("survive a clock that jumps by years", () => {
    const deadlines = new Deadlines<{ deadline: number }>()
    const near = due(10_000)
    const far = due(4e12)
    deadlines.add(near)
    deadlines.add(far)
    expect(deadlines.take(3e12)).toEqual([near])
    expect(deadlines.take(5e12)).toEqual([far])
  })
})
