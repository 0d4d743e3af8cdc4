// What the scripted engine has beyond the contract: its pace, stepping by hand, failing on demand,
// and what it costs.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Engine } from "../../../src/generate/engine/Engine.ts"
import {
  layerScripted,
  makeScriptedEngine,
  scriptedDefaults,
  type ScriptedOptions,
} from "../../../src/generate/engine/ScriptedEngine.ts"
import type { StepOutput } from "../../../src/generate/engine/stepOutput.ts"
import { makeSequence } from "../../support/engineSequence.ts"

const byHand = (changes: Partial<ScriptedOptions> = {}) => {
  const scripted = makeScriptedEngine({
    ...scriptedDefaults,
    stepIntervalMs: null,
    now: () => 5000,
    ...changes,
  })
  const steps: Array<StepOutput> = []
  scripted.engine.onStep((step) => void steps.push(step))
  return { ...scripted, steps }
}

describe("stepped by hand", () => {
  it("moves only when told, every running sequence by a token", () => {
    const { engine, step, steps } = byHand()
    assert.isFalse(step())
    engine.submit(makeSequence(1, { sampling: { maxTokens: 2 } }))
    engine.submit(makeSequence(2, { sampling: { maxTokens: 3 } }))
    assert.strictEqual(engine.stats().waiting, 2)
    while (step());
    assert.deepStrictEqual(
      steps.map(({ entries }) => entries.map(({ sequence, finish }) => [sequence, finish])),
      [
        [
          [1, null],
          [2, null],
        ],
        [
          [1, "length"],
          [2, null],
        ],
        [[2, "length"]],
      ],
    )
    assert.strictEqual(engine.stats().lastStepAt, 5000)
  })

  it("gives several tokens a step where asked, and stops in the middle of them", () => {
    const { engine, step, steps } = byHand({ tokensPerStep: 4 })
    engine.submit(makeSequence(1, { sampling: { maxTokens: 6 } }))
    while (step());
    assert.deepStrictEqual(
      steps.flatMap(({ entries }) => entries.map(({ ids, position }) => [position, ids.length])),
      [
        [0, 4],
        [4, 2],
      ],
    )
  })

  it("starts better priorities first, earlier arrivals within one", () => {
    const { engine, step, steps } = byHand({ sequencesMax: 1 })
    const sampling = { maxTokens: 1 }
    engine.submit(makeSequence(1, { priority: 2, arrivedAt: 1, sampling }))
    engine.submit(makeSequence(2, { priority: 1, arrivedAt: 3, sampling }))
    engine.submit(makeSequence(3, { priority: 1, arrivedAt: 2, sampling }))
    while (step());
    const order = steps.map(({ entries }) => entries[0]?.sequence)
    assert.deepStrictEqual(order, [3, 2, 1])
  })

  it("fails a sequence on demand, and no other", () => {
    const { engine, step, steps, fail } = byHand()
    engine.submit(makeSequence(1, { sampling: { maxTokens: 9 } }))
    engine.submit(makeSequence(2, { sampling: { maxTokens: 2 } }))
    step()
    fail(1)
    step()
    const last = steps.at(-1)?.entries.map(({ sequence, finish }) => [sequence, finish])
    assert.deepStrictEqual(last, [
      [1, "failed"],
      [2, "length"],
    ])
  })

  it("is lost once, and then closed and silent", () => {
    const { engine, step, steps, lose } = byHand()
    const lost: Array<string> = []
    engine.onLost((message) => void lost.push(message))
    engine.submit(makeSequence(1))
    lose("power cut")
    lose("again")
    assert.deepStrictEqual(lost, ["power cut"])
    assert.isFalse(step())
    assert.strictEqual(steps.length, 0)
    assert.strictEqual(engine.submit(makeSequence(2)), "closed")
  })

  it("costs under 3 us of processor time a token with 500 streams", () => {
    const { engine, step } = byHand()
    let tokens = 0
    engine.onStep(({ batchTokens }) => void (tokens += batchTokens))
    for (let i = 0; i < 500; i++) engine.submit(makeSequence(i, { sampling: { maxTokens: 400 } }))
    const before = process.cpuUsage()
    while (step());
    const { user, system } = process.cpuUsage(before)
    assert.strictEqual(tokens, 200_000)
    assert.isBelow((user + system) / tokens, 3)
  })
})

describe("paced", () => {
  it.live("a stream keeps its rate, also while others come and go", () =>
    Effect.gen(function* () {
      const engine = yield* Engine
      const arrivals: Array<number> = []
      const ended = Effect.callback<void>((resume) => {
        engine.onStep(({ entries }) => {
          const entry = entries.find(({ sequence }) => sequence === 1)
          if (entry === undefined) return
          arrivals.push(performance.now())
          if (entry.finish !== null) resume(Effect.void)
        })
      })
      engine.submit(makeSequence(1, { sampling: { maxTokens: 60 } }))
      for (let i = 2; i < 20; i++) engine.submit(makeSequence(i))
      yield* ended
      const elapsed = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)
      // 59 intervals of 5 ms; a loaded machine may be late, never early.
      assert.isAbove(elapsed, 59 * 5 * 0.9)
      assert.isBelow(elapsed, 59 * 5 * 3)
    }).pipe(Effect.provide(layerScripted({ stepIntervalMs: 5 }))),
  )
})
