// Who holds an idempotency key: by the order of claims and the log's times alone.
import { assert, describe, it } from "@effect/vitest"
import type { KeyClaimed } from "../../../schemas/types.ts"
import { KeyHolders } from "../../../streams/fold/keyHolders.ts"

const claim = (requestId: string, change: Partial<KeyClaimed> = {}): KeyClaimed => ({
  keyDigest: "k",
  bodyDigest: "b",
  requestId,
  replaces: null,
  ...change,
})

const after = (...claims: ReadonlyArray<readonly [KeyClaimed, number]>) => {
  const holders = new KeyHolders(1_000)
  for (const [one, at] of claims) holders.apply(one, at)
  return holders
}

describe("a key", () => {
  it("is its first claim's, whatever comes after", () => {
    const holders = after([claim("a"), 0], [claim("b"), 1], [claim("c", { bodyDigest: "x" }), 2])
    assert.deepStrictEqual(holders.holder("k", 2), {
      requestId: "a",
      bodyDigest: "b",
      claimedAt: 0,
    })
    assert.strictEqual(holders.holder("other", 2), null)
  })

  it("goes to the first that replaces its holder, and to no other", () => {
    const holders = after(
      [claim("a"), 0],
      [claim("x", { replaces: "nobody" }), 1],
      [claim("b", { replaces: "a" }), 2],
      [claim("c", { replaces: "a" }), 3],
    )
    assert.strictEqual(holders.holder("k", 3)?.requestId, "b")
  })

  it("lives as long as records are kept, by the log's times", () => {
    const holders = after([claim("a"), 0], [claim("b"), 1_000], [claim("c"), 1_001])
    assert.strictEqual(holders.holder("k", 1_001)?.requestId, "c")
    assert.strictEqual(holders.holder("k", 2_002), null)
  })

  it("is forgotten when its time is over, so that memory is bounded by what lives", () => {
    const holders = new KeyHolders(1_000)
    for (let i = 0; i < 100; i++) holders.apply(claim(`r${i}`, { keyDigest: `k${i}` }), i * 100)
    assert.strictEqual(holders.size, 11)
    assert.strictEqual(holders.oldestEndsInMs(9_900), 0)
    assert.strictEqual(holders.oldestEndsInMs(10_000), 0)
    assert.strictEqual(holders.oldestEndsInMs(10_050), 50)
  })
})
