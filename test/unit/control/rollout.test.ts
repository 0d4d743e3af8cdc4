// How a rollout is split, watched and judged: each decision alone, as a function of its inputs.
import { assert, describe, it } from "@effect/vitest"
import type { RolloutStarted, TokenEntry } from "../../../schemas/types.ts"
import { CanaryNumbers, type VersionNumbers } from "../../../src/control/rollout/canary.ts"
import { decide, type Findings } from "../../../src/control/rollout/decide.ts"
import { judge } from "../../../src/control/rollout/judge.ts"
import { versionFor } from "../../../src/control/rollout/split.ts"
import { chooseVersion } from "../../../src/enqueue/version.ts"
import { newRequestId } from "../../../streams/requestId.ts"
import type { RolloutState } from "../../../streams/fold/rolloutState.ts"
import { rolloutStarted } from "../../support/control.ts"
import { exampleRequest } from "../../support/events.ts"

const plan: RolloutStarted = rolloutStarted

const at = (stage: number, more: Partial<RolloutState> = {}): RolloutState => ({
  plan,
  phase: stage < 0 ? "loading" : "running",
  stage,
  ...{ startedAt: 0, since: 0, reason: "", retired: false },
  ...more,
})

describe("the split", () => {
  const ids = Array.from({ length: 100_000 }, (_, i) => newRequestId(1_800_000_000_000 + i * 5))

  it("is within one percent of 10, 50 and 100 of the requests", () => {
    for (const [stage, share] of plan.stages.entries()) {
      const taken = ids.filter((id) => versionFor(at(stage), id) === "2").length
      assert.closeTo((taken / ids.length) * 100, share, share === 100 ? 0 : 0.5)
    }
    assert.isTrue(ids.every((id) => versionFor(at(-1), id) === "1"))
  })

  it("keeps a conversation where it went, stage after stage", () => {
    const early = ids.filter((key) => versionFor(at(0), key) === "2")
    assert.isTrue(early.every((key) => versionFor(at(1), key) === "2"))
    const served = { name: "m", version: "1", contextTokensMax: 1, createdAt: 0 }
    const choose = (requestId: string, promptCacheKey: string | null) =>
      chooseVersion(served, { requestId, promptCacheKey }, { rollout: at(1), isReady: () => true })
    const versions = new Set(ids.slice(0, 100).map((id) => choose(id, "conversation")))
    assert.strictEqual(versions.size, 1)
  })

  it("is the same share in every partition of the token log and of a tier", () => {
    for (const parity of [0, 1]) {
      const half = ids.filter((id) => id.charCodeAt(id.length - 1) % 2 === parity)
      const taken = half.filter((id) => versionFor(at(1), id) === "2").length
      assert.closeTo(taken / half.length, 0.5, 0.01)
    }
  })

  it("gives a new version that nobody holds ready nothing, and a retired one nothing ever", () => {
    const served = { name: "m", version: "1", contextTokensMax: 1, createdAt: 0 }
    const all = (rollout: RolloutState, ready: ReadonlyArray<string>) =>
      new Set(
        ids
          .slice(0, 200)
          .map((requestId) =>
            chooseVersion(
              served,
              { requestId, promptCacheKey: null },
              { rollout, isReady: (version) => ready.includes(version) },
            ),
          ),
      )
    assert.deepStrictEqual(all(at(1), ["1"]), new Set(["1"]))
    assert.deepStrictEqual(all(at(2), []), new Set(["2"]))
    assert.deepStrictEqual(all(at(1, { phase: "rolledBack" }), ["2"]), new Set(["1"]))
    assert.deepStrictEqual(all(at(2, { phase: "completed" }), ["1"]), new Set(["2"]))
  })
})

const numbers = (more: Partial<VersionNumbers> = {}): VersionNumbers => ({
  ...{ requests: 100, ended: 100, failed: 0, broken: 0, reclaimed: 0 },
  ...{ firstTokens: 100, ttftMsP50: 20, ttftMsP95: 50 },
  ...more,
})

describe("the judgement", () => {
  const cases: ReadonlyArray<
    readonly [string, Partial<VersionNumbers>, Partial<VersionNumbers>, RegExp | null]
  > = [
    ["alike", {}, {}, null],
    ["a few errors", { failed: 2 }, {}, null],
    ["more errors", { failed: 5 }, {}, /^failed: 5\.0 % of 100 requests, 0\.0 %/],
    ["as many errors as the old version", { failed: 5 }, { failed: 4 }, null],
    ["broken answers", { broken: 10 }, {}, /^broken answers: 10\.0 %/],
    ["workers lost", { reclaimed: 4 }, {}, /^workers lost: 4\.0 %/],
    ["none ended, all begun again", { requests: 9, ended: 0, reclaimed: 9 }, {}, /^workers lost/],
    ["slower", { ttftMsP95: 400 }, {}, /p95: 400 ms, 50 ms on the old version/],
    ["slower by a little", { ttftMsP95: 120 }, {}, null],
    ["slow as the old version is", { ttftMsP95: 4_000 }, { ttftMsP95: 3_900 }, null],
    ["too few to say", { ended: 5, failed: 5, requests: 5, firstTokens: 5 }, {}, null],
  ]
  for (const [what, next, old, expected] of cases) {
    it(`of ${what} is ${expected === null ? "nothing" : "that it goes back"}`, () => {
      const reason = judge(numbers(next), numbers(old))
      if (expected === null) assert.isNull(reason)
      else assert.match(reason ?? "", expected)
    })
  }
})

describe("the next step", () => {
  const findings = (more: Partial<Findings> = {}): Findings => ({
    ...{ nowMs: 0, isLoaded: false, fault: null, isJudged: true, isDrained: true },
    ...more,
  })
  const cases: ReadonlyArray<readonly [string, RolloutState, Partial<Findings>, string | null]> = [
    ["loading goes on", at(-1), {}, null],
    ["what is loaded takes traffic", at(-1), { isLoaded: true }, "RolloutStageEntered"],
    ["what never loads goes back", at(-1), { nowMs: 2_000_000 }, "RolloutRolledBack"],
    ["a stage is held", at(0), { nowMs: 299_999 }, null],
    ["and then left", at(0), { nowMs: 300_000 }, "RolloutStageEntered"],
    ["but not unjudged", at(0), { nowMs: 300_000, isJudged: false }, null],
    ["the last one ends it", at(2), { nowMs: 300_000 }, "RolloutCompleted"],
    ["a fault ends it at once", at(0), { nowMs: 1, fault: "slow" }, "RolloutRolledBack"],
    ["a pause holds", at(0, { phase: "paused" }), { nowMs: 9e9 }, null],
    ["but not a fault", at(0, { phase: "paused" }), { fault: "slow" }, "RolloutRolledBack"],
    ["the old version is kept", at(2, { phase: "completed" }), { nowMs: 599_999 }, null],
    ["and let go", at(2, { phase: "completed" }), { nowMs: 600_000 }, "VersionRetired"],
    [
      "not while a request of it runs",
      at(2, { phase: "completed" }),
      { nowMs: 600_000, isDrained: false },
      null,
    ],
    ["one that went back is let go", at(0, { phase: "rolledBack" }), {}, "VersionRetired"],
    ["once", at(0, { phase: "rolledBack", retired: true }), {}, null],
  ]
  for (const [what, rollout, found, expected] of cases) {
    it(what, () => assert.strictEqual(decide(rollout, findings(found))?.kind ?? null, expected))
  }
})

describe("the numbers", () => {
  const request = (requestId: string, acceptedAt: number, version = "2") => ({
    ...{ ...exampleRequest, requestId, acceptedAt, version },
  })
  const tokens = (requestId: string, ids: ReadonlyArray<number>): TokenEntry => ({
    kind: "TokensGenerated",
    ...{ requestId, attempt: 1, choice: 0, position: 0, ids, texts: ids.map(() => "x") },
    ...{ logprobs: null, finish: null, stopReason: null },
  })
  const finished = (requestId: string): TokenEntry => ({
    kind: "GenerationFinished",
    ...{ requestId, attempt: 1, promptTokens: 1, cachedTokens: 0 },
  })
  const failed = (requestId: string): TokenEntry => ({
    kind: "Expired",
    ...{ requestId, deadline: 0 },
  })
  const frame = (writtenAt: number, ...entries: ReadonlyArray<TokenEntry>) => ({
    ...{ writer: "w", writtenAt, entries },
  })

  it("are of one version and one span, whichever log was read first", () => {
    const seen = new CanaryNumbers()
    seen.onFrame(frame(150, tokens("a", [1, 2]), finished("a")))
    seen.onRequest(request("a", 100))
    seen.onRequest(request("b", 100, "1"))
    seen.onFrame(frame(400, tokens("b", [1]), failed("b")))
    seen.onRequest(request("c", 120))
    const next = seen.between("2", 0, 300)
    assert.deepInclude(next, { requests: 2, ended: 1, failed: 0, broken: 0, firstTokens: 2 })
    // Who still waits counts with the time so far.
    assert.strictEqual(next.ttftMsP95, 180)
    assert.deepInclude(seen.between("1", 300, 500), { ended: 1, failed: 1, ttftMsP50: 300 })
  })

  it("know an answer of nothing, of one token over and over, and one that began again", () => {
    const seen = new CanaryNumbers()
    for (const id of ["none", "same", "fine"]) seen.onRequest(request(id, 0))
    seen.onFrame(frame(10, finished("none")))
    seen.onFrame(frame(10, tokens("same", Array<number>(8).fill(7)), finished("same")))
    seen.onFrame(frame(10, { kind: "AttemptClaimed", requestId: "fine", attempt: 2, worker: "w" }))
    seen.onFrame(frame(11, tokens("fine", [1, 2, 3, 4, 5, 6, 7, 8]), finished("fine")))
    const counted = seen.between("2", 0, 100)
    assert.deepInclude(counted, { ended: 3, broken: 2, reclaimed: 1 })
  })
})
