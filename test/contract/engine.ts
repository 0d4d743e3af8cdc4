// What every Engine keeps, whatever makes its tokens: one suite, run on the scripted twin and on
// the native engine with the bundled model. A case opens its own engine, so limits can be small.
import { describe, expect, it } from "vitest"
import type { Engine, EngineSequence } from "../../src/generate/engine/Engine.ts"
import type { StepOutput } from "../../src/generate/engine/stepOutput.ts"
import { collectOutputs, type Transcript } from "../support/engineOutputs.ts"
import { makeSequence, shortPrompt as prompt } from "../support/engineSequence.ts"

export type TestEngine = Engine["Service"]

export interface OpenedEngine {
  readonly engine: TestEngine
  readonly close: () => Promise<void>
}

export interface EngineUnderTest {
  readonly name: string
  readonly open: (options: {
    readonly sequencesMax: number
    readonly waitingMax: number
  }) => Promise<OpenedEngine>
}

const seeded = { temperature: 0.8, ignoreEos: true }

type Run = ReturnType<typeof collectOutputs>
type Body = (engine: TestEngine, run: Run) => Promise<void>

const using = async (
  under: EngineUnderTest,
  body: Body,
  limits = { sequencesMax: 8, waitingMax: 16 },
): Promise<void> => {
  const { engine, close } = await under.open(limits)
  try {
    await body(engine, collectOutputs(engine))
  } finally {
    await close()
  }
}

const expectEnd = (transcript: Transcript, finish: string, ids: ReadonlyArray<number>): void => {
  expect(transcript.finish).toBe(finish)
  expect(transcript.ids).toEqual(ids)
}

export const engineContract = (under: EngineUnderTest): void => {
  describe(`${under.name}: what it generates`, () => describeGenerates(under))
  describe(`${under.name}: how it ends`, () => describeEnds(under))
  describe(`${under.name}: scores`, () => describeScores(under))
  describe(`${under.name}: what it refuses`, () => describeRefuses(under))
  describe(`${under.name}: steps and stats`, () => describeCountsSteps(under))
}

const describeGenerates = (under: EngineUnderTest): void => {
  it("ends at maxTokens, with positions that run from 0 without a gap", () =>
    using(under, async (_, run) => {
      const done = await run(makeSequence(1))
      expect(done.finish).toBe("length")
      expect(done.ids).toHaveLength(12)
      expect(done.positionsAreContiguous).toBe(true)
      expect(done.stopToken).toBeNull()
    }))

  it("gives the same ids for the same request, greedy and seeded", () =>
    using(under, async (_, run) => {
      const [a, b, c, d] = await Promise.all([
        run(makeSequence(1)),
        run(makeSequence(2, { sampling: { seed: 99 } })),
        run(makeSequence(3, { sampling: seeded })),
        run(makeSequence(4, { sampling: seeded })),
      ])
      expect(b.ids).toEqual(a.ids)
      expect(d.ids).toEqual(c.ids)
    }))

  it("draws apart for another seed and for another choice", () =>
    using(under, async (_, run) => {
      const more = { ...seeded, temperature: 1.5, maxTokens: 40 }
      const [a, b, c] = await Promise.all([
        run(makeSequence(1, { sampling: more })),
        run(makeSequence(2, { sampling: { ...more, seed: 8 } })),
        run(makeSequence(3, { sampling: { ...more, choice: 1 } })),
      ])
      expect(b.ids).not.toEqual(a.ids)
      expect(c.ids).not.toEqual(a.ids)
    }))

  it("continues from adopted ids with what the first attempt would have drawn, at every cut", () =>
    using(under, async (_, run) => {
      const whole = await run(makeSequence(1, { sampling: seeded }))
      for (let cut = 0; cut <= whole.ids.length; cut++) {
        const generatedIds = whole.ids.slice(0, cut)
        const rest = await run(makeSequence(100 + cut, { generatedIds, sampling: seeded }))
        expectEnd(rest, "length", whole.ids.slice(cut))
        expect(rest.firstPosition).toBe(cut)
      }
    }))

  it("ends a sequence whose adopted ids already hold its end", () =>
    using(under, async (engine, run) => {
      const eos = engine.info.eosIds[0] ?? 0
      const sampling = { ignoreEos: false }
      const stopped = await run(makeSequence(1, { generatedIds: [400, eos], sampling }))
      expectEnd(stopped, "stop", [])
      const full = await run(makeSequence(2, { generatedIds: Array(12).fill(400) }))
      expectEnd(full, "length", [])
    }))
}

const describeEnds = (under: EngineUnderTest): void => {
  it("stops at a stop id, which it names and which is the last id", () =>
    using(under, async (_, run) => {
      const whole = await run(makeSequence(1, { sampling: seeded }))
      const stopId = whole.ids[5] ?? 0
      const first = whole.ids.indexOf(stopId)
      const sampling = { ...seeded, stopTokenIds: [stopId] }
      const stopped = await run(makeSequence(2, { sampling }))
      expectEnd(stopped, "stop", whole.ids.slice(0, first + 1))
      expect(stopped.stopToken).toBe(stopId)
    }))

  it("stops at end of sequence, unless told to ignore it", () =>
    using(under, async (engine, run) => {
      const eos = engine.info.eosIds[0] ?? 0
      const forced = { logitBias: [{ token: eos, bias: 100 }], maxTokens: 4 }
      const stopped = await run(makeSequence(1, { sampling: { ...forced, ignoreEos: false } }))
      expectEnd(stopped, "stop", [eos])
      expect(stopped.stopToken).toBeNull()
      const ignored = await run(makeSequence(2, { sampling: { ...forced, ignoreEos: true } }))
      expectEnd(ignored, "length", [eos, eos, eos, eos])
    }))

  it("draws no end before minTokens", () =>
    using(under, async (engine, run) => {
      const eos = engine.info.eosIds[0] ?? 0
      const logitBias = [{ token: eos, bias: 100 }]
      const sampling = { logitBias, ignoreEos: false, minTokens: 3 }
      const done = await run(makeSequence(1, { sampling }))
      expect(done.finish).toBe("stop")
      expect(done.ids).toHaveLength(4)
      expect(done.ids.slice(0, 3)).not.toContain(eos)
    }))

  it("cancels what runs and what waits, and says so once", () =>
    using(
      under,
      async (engine, run) => {
        const long = { maxTokens: 500 }
        const running = run(makeSequence(1, { sampling: long }))
        const waiting = run(makeSequence(2, { sampling: long }))
        engine.cancel(2)
        engine.cancel(2)
        engine.cancel(1)
        engine.cancel(77)
        expect((await waiting).finish).toBe("cancelled")
        expect((await running).finish).toBe("cancelled")
        expect(engine.stats().running + engine.stats().waiting).toBe(0)
        const after = await run(makeSequence(1))
        expect(after.finish).toBe("length")
      },
      { sequencesMax: 1, waitingMax: 4 },
    ))

  it("ends with length and no ids where no output is wanted", () =>
    using(under, async (_, run) => {
      expectEnd(await run(makeSequence(1, { sampling: { maxTokens: 0 } })), "length", [])
    }))
}

const describeScores = (under: EngineUnderTest): void => {
  it("gives each token's logprob and as many alternatives as asked, best first", () =>
    using(under, async (_, run) => {
      const done = await run(makeSequence(1, { sampling: { logprobs: 3 } }))
      expect(done.logprobs).toHaveLength(done.ids.length)
      for (const [i, score] of done.logprobs.entries()) {
        expect(score.logprob).toBeLessThanOrEqual(0)
        expect(score.top).toHaveLength(3)
        expect(score.top[0]?.id).toBe(done.ids[i])
        expect(score.top.map(({ logprob }) => logprob)).toEqual(
          score.top.map(({ logprob }) => logprob).sort((a, b) => b - a),
        )
      }
    }))

  it("scores the prompt's tokens but the first, once, with or without output", () =>
    using(under, async (_, run) => {
      for (const maxTokens of [0, 3]) {
        const done = await run(
          makeSequence(1 + maxTokens, { sampling: { promptLogprobs: 0, maxTokens } }),
        )
        expect(done.promptLogprobs).toHaveLength(prompt.length - 1)
        expect(done.ids).toHaveLength(maxTokens)
      }
    }))

  it("leaves scores out where none were asked for", () =>
    using(under, async (_, run) => {
      const done = await run(makeSequence(1))
      expect(done.logprobs).toEqual([])
      expect(done.promptLogprobs).toBeNull()
    }))
}

const describeRefuses = (under: EngineUnderTest): void => {
  it("refuses what is no sequence of its model, and keeps working", () =>
    using(under, async (engine, run) => {
      const { vocabSize } = engine.info
      const bad: ReadonlyArray<EngineSequence> = [
        makeSequence(1, { promptIds: [] }),
        makeSequence(1, { promptIds: [vocabSize] }),
        makeSequence(1, { promptIds: [-1] }),
        makeSequence(1, { promptIds: [1.5] }),
        makeSequence(1, { generatedIds: [vocabSize] }),
        makeSequence(-1),
        makeSequence(1, { priority: 0.5 }),
        makeSequence(1, { sampling: { temperature: Number.NaN } }),
        makeSequence(1, { sampling: { topK: -1 } }),
        makeSequence(1, { sampling: { seed: 2 ** 60 } }),
        makeSequence(1, { sampling: { logitBias: [{ token: vocabSize, bias: 1 }] } }),
      ]
      for (const sequence of bad) expect(engine.submit(sequence)).toBe("invalid")
      expect((await run(makeSequence(1))).finish).toBe("length")
    }))

  it("refuses prompt and output beyond the model's context", () =>
    using(under, async (engine) => {
      const { contextTokensMax } = engine.info
      const sampling = { maxTokens: contextTokensMax - prompt.length + 1 }
      expect(engine.submit(makeSequence(1, { sampling }))).toBe("tooLong")
    }))

  it("refuses a handle that is still live", () =>
    using(under, async (engine) => {
      const sampling = { maxTokens: 200 }
      expect(engine.submit(makeSequence(1, { sampling }))).toBeNull()
      expect(engine.submit(makeSequence(1, { sampling }))).toBe("invalid")
    }))

  it("refuses more than may run and wait, and takes more once some ended", () =>
    using(
      under,
      async (engine, run) => {
        const sampling = { maxTokens: 100 }
        const live = [1, 2, 3].map((handle) => run(makeSequence(handle, { sampling })))
        expect(engine.submit(makeSequence(4))).toBe("queueFull")
        for (const handle of [1, 2, 3]) engine.cancel(handle)
        await Promise.all(live)
        expect((await run(makeSequence(4))).finish).toBe("length")
      },
      { sequencesMax: 1, waitingMax: 2 },
    ))

  it("is closed after its scope", async () => {
    const { engine, close } = await under.open({ sequencesMax: 2, waitingMax: 2 })
    await close()
    expect(engine.submit(makeSequence(1))).toBe("closed")
  })
}

const describeCountsSteps = (under: EngineUnderTest): void => {
  it("runs at most sequencesMax at once and all of what waits in the end", () =>
    using(
      under,
      async (engine, run) => {
        let atOnce = 0
        engine.onStep((step: StepOutput) => {
          atOnce = Math.max(atOnce, step.batchSequences)
        })
        const all = await Promise.all(
          Array.from({ length: 10 }, (_, i) => run(makeSequence(i + 1))),
        )
        expect(new Set(all.map(({ finish }) => finish))).toEqual(new Set(["length"]))
        expect(atOnce).toBe(2)
      },
      { sequencesMax: 2, waitingMax: 16 },
    ))

  it("counts steps upwards and gives its blocks back", () =>
    using(under, async (engine, run) => {
      const steps: Array<number> = []
      engine.onStep(({ step }) => void steps.push(step))
      await run(makeSequence(1))
      expect(steps).toEqual([...steps].sort((a, b) => a - b))
      const { blocks, blocksFree, running, waiting, lastStepAt } = engine.stats()
      expect(blocksFree).toBe(blocks)
      expect(running + waiting).toBe(0)
      expect(lastStepAt).toBeGreaterThan(0)
    }))
}
