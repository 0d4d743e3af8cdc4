// Admission: nobody is refused while slots are free, a backlog that cannot meet the deadline is,
// what is outstanding is bounded, and what ended is free again.
import { describe, expect, it } from "vitest"
import { Backlog } from "../../../src/enqueue/backlog.ts"
import { DrainRate } from "../../../src/enqueue/drainRate.ts"
import { workerStatus } from "../../support/enqueue.ts"

const holding = (requestId: string, tokens: number, more = {}) => ({
  requestId,
  tokens,
  tier: "default" as const,
  partition: "t/0",
  deadline: 1e9,
  ...more,
})

const busy = (change = {}) => workerStatus({ slotsFree: 0, requestsWaiting: 3, ...change })
const free = workerStatus({ slotsFree: 8, requestsWaiting: 0 })

describe("Backlog", () => {
  it("admits without any measure, and while slots are free whatever the rate", () => {
    const backlog = new Backlog(0)
    backlog.hold(holding("a", 1e6))
    expect(backlog.refusal(holding("b", 1e6), [], 0)).toBeNull()
    const slow = workerStatus({ slotsFree: 8, tokensPerSecond: 1 })
    expect(backlog.refusal(holding("b", 1e6, { deadline: 1000 }), [slow], 0)).toBeNull()
  })

  it("does not count slots as free that were taken since the last heartbeat", () => {
    const backlog = new Backlog(0)
    const worker = workerStatus({ slotsFree: 2, tokensPerSecond: 10 })
    const asked = holding("x", 100, { deadline: 1000 })
    expect(backlog.refusal(asked, [worker], 0)).toBeNull()
    backlog.hold(holding("a", 100))
    backlog.hold(holding("b", 100))
    expect(backlog.refusal(asked, [worker], 0)).not.toBeNull()
    const next = workerStatus({ slotsFree: 2, tokensPerSecond: 10, at: 2000 })
    expect(backlog.refusal(asked, [next], 0)).toBeNull()
  })

  it("refuses what saturated workers cannot do in time, and says when to come again", () => {
    const backlog = new Backlog(0)
    backlog.hold(holding("a", 9_000))
    const workers = [busy({ tokensPerSecond: 100 })]
    expect(backlog.refusal(holding("b", 1_000, { deadline: 100_000 }), workers, 0)).toBeNull()
    const refusal = backlog.refusal(holding("b", 1_000, { deadline: 95_000 }), workers, 0)
    expect(refusal?.retryAfterMs).toBe(5_000)
    expect(refusal?.message).toContain("try again in 5 s")
    const never = backlog.refusal(holding("b", 1e9 / 2, { deadline: 1 }), workers, 0)
    expect(never?.retryAfterMs).toBe(60_000)
  })

  it("counts what other gateways gave the workers", () => {
    const workers = [busy({ tokensPerSecond: 100, tokensOutstanding: 50_000 })]
    const refusal = new Backlog(0).refusal(holding("b", 0, { deadline: 100_000 }), workers, 0)
    expect(refusal?.retryAfterMs).toBe(60_000)
  })

  it("does not refuse a priority request for what flex requests hold", () => {
    const backlog = new Backlog(0)
    backlog.hold(holding("a", 100_000, { tier: "flex" }))
    const workers = [busy({ tokensPerSecond: 100, tokensOutstanding: 100_000 })]
    const asked = holding("b", 1_000, { deadline: 60_000 })
    expect(backlog.refusal({ ...asked, tier: "flex" }, workers, 0)).not.toBeNull()
    expect(backlog.refusal({ ...asked, tier: "priority" }, workers, 0)).toBeNull()
  })

  it("is bounded by requests and by tokens, and free again when they end", () => {
    const backlog = new Backlog(0, { requestsMax: 2, tokensMax: 1_000 })
    backlog.hold(holding("a", 400))
    expect(backlog.refusal(holding("b", 601), [free], 0)).not.toBeNull()
    backlog.hold(holding("b", 100))
    expect(backlog.refusal(holding("c", 1), [free], 0)?.retryAfterMs).toBe(500)
    backlog.release("a")
    backlog.release("a")
    backlog.release("unknown")
    expect(backlog.refusal(holding("c", 900), [free], 0)).toBeNull()
    expect(backlog.requestsOf("t/0")).toBe(1)
    backlog.forget("b")
    expect(backlog.requestsOf("t/0")).toBe(0)
  })

  it("writes off what never ended, some time after its deadline", () => {
    const backlog = new Backlog(0, { requestsMax: 1, tokensMax: 1_000 })
    backlog.hold(holding("a", 1, { deadline: 1_000 }))
    expect(backlog.refusal(holding("b", 1), [free], 20_000)).not.toBeNull()
    expect(backlog.refusal(holding("b", 1), [free], 40_000)).toBeNull()
  })

  it("learns the rate from what ends, unspent output included", () => {
    const backlog = new Backlog(0)
    for (const [index, id] of ["a", "b", "c", "d"].entries()) {
      backlog.hold(holding(id, 8_000))
      backlog.refusal(holding("x", 1), [busy()], index * 1_000)
      backlog.release(id)
    }
    // 8,000 promised tokens drained a second, although the workers computed 10 a second.
    const workers = [busy({ tokensPerSecond: 10 })]
    backlog.hold(holding("e", 40_000))
    expect(backlog.refusal(holding("x", 0, { deadline: 14_000 }), workers, 4_000)).toBeNull()
    expect(backlog.refusal(holding("x", 0, { deadline: 8_000 }), workers, 4_000)).not.toBeNull()
  })
})

describe("DrainRate", () => {
  it("rises at once, falls only while saturated, and by halves", () => {
    const rate = new DrainRate(0)
    expect(rate.perSecond(500, true)).toBe(0)
    rate.add(1_000)
    expect(rate.perSecond(1_000, true)).toBe(1_000)
    expect(rate.perSecond(11_000, false)).toBe(1_000)
    expect(rate.perSecond(21_000, true)).toBe(500)
    rate.add(9_000)
    expect(rate.perSecond(24_000, true)).toBe(3_000)
  })
})
