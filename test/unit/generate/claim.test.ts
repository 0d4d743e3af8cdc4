import { describe, expect, it } from "vitest"
import { Claim } from "../../../src/generate/claim.ts"

describe("a claim", () => {
  it("is beaten by the same attempt before it, whenever that is read", () => {
    const early = new Claim(1, null)
    expect(early.rival(1, 4)).toBe(true)
    expect(early.landed(5)).toBe(false)
    const late = new Claim(1, null)
    expect(late.landed(5)).toBe(true)
    expect(late.rival(1, 4)).toBe(false)
  })

  it("beats the same attempt after it", () => {
    const claim = new Claim(1, null)
    expect(claim.rival(1, 6)).toBe(true)
    expect(claim.landed(5)).toBe(true)
  })

  it("is taken over by the next attempt only, which may stand before its own second copy", () => {
    const claim = new Claim(2, 10)
    expect(claim.rival(4, 12)).toBe(true)
    expect(claim.rival(3, 11)).toBe(false)
    const again = new Claim(2, null)
    expect(again.rival(3, 9)).toBe(true)
    expect(again.landed(10)).toBe(false)
  })
})
