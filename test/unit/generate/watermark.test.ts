import { describe, expect, it } from "vitest"
import { Watermark } from "../../../src/generate/watermark.ts"

describe("the watermark", () => {
  it("is null before anything was read", () => {
    const watermark = new Watermark()
    expect(watermark.mark).toBeNull()
    expect(watermark.take()).toBeNull()
  })

  it("stands at the lowest unfinished offset, whatever ended after it", () => {
    const watermark = new Watermark()
    for (const offset of [7, 8, 9, 12]) watermark.add(offset)
    watermark.done(8)
    watermark.done(12)
    expect(watermark.mark).toBe(7)
    watermark.done(7)
    expect(watermark.mark).toBe(9)
    watermark.done(9)
    expect(watermark.mark).toBe(13)
  })

  it("knows a redelivered offset, open or done", () => {
    const watermark = new Watermark()
    expect(watermark.add(3)).toBe(true)
    expect(watermark.add(4)).toBe(true)
    watermark.done(3)
    expect(watermark.add(3)).toBe(false)
    expect(watermark.add(4)).toBe(false)
    expect(watermark.open).toBe(1)
  })

  it("is taken once for each move and never moves back", () => {
    const watermark = new Watermark()
    watermark.add(0)
    expect(watermark.take()).toBe(0)
    expect(watermark.take()).toBeNull()
    watermark.done(0)
    expect(watermark.take()).toBe(1)
    watermark.add(1)
    expect(watermark.take()).toBeNull()
  })

  it("never passes an unfinished offset in 2,000 random schedules", () => {
    let seed = 11
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return seed % below
    }
    for (let round = 0; round < 2000; round++) {
      const watermark = new Watermark()
      const open = new Set<number>()
      let next = random(5)
      let taken = -1
      for (let i = 0; i < 30; i++) {
        if (random(2) === 0) {
          watermark.add(next)
          open.add(next)
          next += 1 + random(2)
        } else {
          const offsets = [...open]
          const offset = offsets[random(Math.max(1, offsets.length))]
          if (offset !== undefined) {
            open.delete(offset)
            watermark.done(offset)
          }
        }
        const mark = watermark.take()
        if (mark === null) continue
        expect(mark).toBeGreaterThan(taken)
        expect(Math.min(...open, Infinity)).toBeGreaterThanOrEqual(mark)
        taken = mark
      }
    }
  })
})
