import { describe, expect, it } from "vitest"
import type { Tier } from "../../../schemas/types.ts"
import { Admission, type Waiting } from "../../../src/generate/admission.ts"

const waiting = (tier: Tier, arrivedAt = 0, sequences = 1): Waiting => ({
  tier,
  arrivedAt,
  sequences,
})
const always = () => true

const tiersTaken = (admission: Admission<Waiting>, count: number, nowMs = 0) =>
  Array.from({ length: count }, () => admission.next(nowMs, always)?.tier)

describe("admission", () => {
  it("keeps the order of arrival within a tier", () => {
    const admission = new Admission<Waiting>()
    const items = [1, 2, 3].map((arrivedAt) => waiting("default", arrivedAt))
    for (const item of items) admission.enqueue(item)
    expect(items.map(() => admission.next(3, always))).toEqual(items)
    expect(admission.next(3, always)).toBeNull()
  })

  it("gives a priority request the next slot, however long the flex queue is and was", () => {
    const admission = new Admission<Waiting>()
    for (let i = 0; i < 500; i++) admission.enqueue(waiting("flex"))
    tiersTaken(admission, 100, 60_000)
    admission.enqueue(waiting("priority", 60_000))
    expect(admission.next(60_000, always)?.tier).toBe("priority")
  })

  it("shares by weight while every tier is full", () => {
    const admission = new Admission<Waiting>()
    for (const tier of ["priority", "default", "flex"] as const) {
      for (let i = 0; i < 3000; i++) admission.enqueue(waiting(tier, 1000))
    }
    const taken = tiersTaken(admission, 2100, 1000)
    const share = (tier: Tier) => taken.filter((name) => name === tier).length / taken.length
    expect(share("priority")).toBeCloseTo(16 / 21, 2)
    expect(share("default")).toBeCloseTo(4 / 21, 2)
    expect(share("flex")).toBeCloseTo(1 / 21, 2)
  })

  it("lets flex through under endless priority load, sooner the longer it waited", () => {
    const slotsUntilFlex = (waitedMs: number) => {
      const admission = new Admission<Waiting>()
      for (let i = 0; i < 3; i++) admission.enqueue(waiting("flex", 100_000 - waitedMs))
      for (let i = 0; i < 200; i++) admission.enqueue(waiting("priority", 100_000))
      const taken = tiersTaken(admission, 100, 100_000)
      const first = taken.indexOf("flex")
      return taken.indexOf("flex", first + 1) - first
    }
    expect(slotsUntilFlex(0)).toBeLessThanOrEqual(17)
    expect(slotsUntilFlex(60_000)).toBeLessThan(slotsUntilFlex(0))
  })

  it("charges a request by the sequences it needs", () => {
    const admission = new Admission<Waiting>()
    for (let i = 0; i < 40; i++) admission.enqueue(waiting("default", 0, 8))
    for (let i = 0; i < 400; i++) admission.enqueue(waiting("priority"))
    const taken = tiersTaken(admission, 165, 0)
    expect(taken.filter((tier) => tier === "default").length).toBeLessThanOrEqual(6)
  })

  it("passes over a tier whose head has no room, and nobody overtakes within it", () => {
    const admission = new Admission<Waiting>()
    const big = waiting("flex", 0, 64)
    admission.enqueue(big)
    admission.enqueue(waiting("flex"))
    const high = waiting("priority")
    admission.enqueue(high)
    const room = (item: Waiting) => item.sequences < 64
    expect(admission.next(0, room)).toBe(high)
    expect(admission.next(0, room)).toBeNull()
    expect(admission.next(0, always)).toBe(big)
  })

  it("forgets what is removed", () => {
    const admission = new Admission<Waiting>()
    const item = waiting("default")
    admission.enqueue(item)
    expect(admission.remove(item)).toBe(true)
    expect(admission.remove(item)).toBe(false)
    expect(admission.size).toBe(0)
  })
})
