import { describe, expect, it } from "vitest"
import { addPauses, pauseAfter, pausesOf, quantile } from "../../torture/recovery.ts"

/** One event each 40 ms, but for a pause. */
const flow = (pauseFrom: number, pauseTo: number) =>
  Array.from({ length: 100 }, (_, i) => i * 40).filter((at) => at <= pauseFrom || at >= pauseTo)

describe("recovery times", () => {
  it("are from the fault to the next event of a stream that stood still", () => {
    expect(pauseAfter(flow(1000, 2000), 1010)).toBe(990)
    expect(pauseAfter(flow(1040, 2000), 1010)).toBe(990)
  })

  it("leave out streams that flowed on, were not flowing, or paused at another time", () => {
    expect(pauseAfter(flow(0, 0), 1010)).toBeNull()
    expect(pauseAfter([], 1010)).toBeNull()
    expect(pauseAfter([2000, 2040], 1010)).toBeNull()
    expect(pauseAfter([960, 1000], 1010)).toBeNull()
    expect(pauseAfter(flow(1500, 3000), 1010)).toBeNull()
    expect(pauseAfter(flow(500, 2000), 1010)).toBeNull()
  })

  it("are told by fault", () => {
    const faults = [
      { name: "kill worker", at: 1010 },
      { name: "kill worker", at: 3000 },
      { name: "stop gateway", at: 1010 },
    ]
    const streams = [flow(1000, 2000), flow(1000, 1400), flow(0, 0)]
    const kill = { fault: "kill worker", faults: 2, pausesMs: [390, 990] }
    const stop = { fault: "stop gateway", faults: 1, pausesMs: [390, 990] }
    expect(pausesOf(faults, streams)).toEqual([kill, stop])
    const more = { fault: "stop gateway", faults: 2, pausesMs: [1000, 500] }
    const both = { fault: "stop gateway", faults: 3, pausesMs: [390, 500, 990, 1000] }
    expect(addPauses([[kill, stop], [more]])).toEqual([both, kill])
    expect([0, 0.5, 0.99].map((share) => quantile(both.pausesMs, share))).toEqual([390, 990, 1000])
    expect(quantile([], 0.5)).toBe(0)
  })
})
