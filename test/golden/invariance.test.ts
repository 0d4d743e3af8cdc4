// The promise behind adoption: a sequence's ids and logprobs are bitwise the same alone, in a
// crowd, chunked, after a prefix hit, after preemption by swap and by recompute, and after adoption
// at any cut; with any number of threads. Real weights, temperature 0 and seeded 0.8.
import { describe, expect, it } from "vitest"
import type { EngineSampling, EngineSequence } from "../../src/generate/engine/Engine.ts"
import type { NativeEngineOptions } from "../../src/generate/engine/NativeEngine.ts"
import { makeSequence } from "../support/engineSequence.ts"
import type { Transcript } from "../support/engineOutputs.ts"
import { type RunSequence, withNative } from "../support/nativeEngine.ts"
import { talesOptions } from "../support/talesEngine.ts"

/** f32 KV of one block: 6 layers, K and V, 2 heads of 64, 16 tokens. */
const blockBytes = 6 * 2 * 2 * 64 * 16 * 4

const promptLengths = [1, 5, 16, 33, 40, 75, 130]

/** Ordinary ids in an order of no meaning, other ones for each length. */
const promptOf = (length: number): ReadonlyArray<number> =>
  Array.from({ length }, (_, i) => (i === 0 ? 0 : 100 + ((i * 37 + length * 101) % 3900)))

const variants: ReadonlyArray<Partial<EngineSampling>> = [
  { temperature: 0 },
  { temperature: 0.8, seed: 1234, topP: 0.95 },
  { temperature: 0.8, seed: 99, topK: 40, repetitionPenalty: 1.2, frequencyPenalty: 0.3 },
]

const outputTokens = 40

const sequences: ReadonlyArray<EngineSequence> = promptLengths.flatMap((length, p) =>
  variants.map((variant, v) =>
    makeSequence(1 + p * variants.length + v, {
      promptIds: promptOf(length),
      sampling: { ...variant, maxTokens: outputTokens, logprobs: 2, ignoreEos: true },
    }),
  ),
)

/** Ids and the exact floats of their logprobs. */
const essence = ({ ids, logprobs }: Pick<Transcript, "ids" | "logprobs">) => ({ ids, logprobs })

const runEach = async (run: RunSequence): Promise<ReadonlyArray<Transcript>> => {
  const done: Array<Transcript> = []
  for (const sequence of sequences) done.push(await run(sequence))
  return done
}

const runTogether = (run: RunSequence): Promise<ReadonlyArray<Transcript>> =>
  Promise.all(sequences.map((sequence) => run(sequence)))

const options = (changes: Partial<NativeEngineOptions>): NativeEngineOptions => ({
  ...talesOptions,
  prefixCache: false,
  batchTokensMax: 256,
  ...changes,
})

const alone = withNative(options({ sequencesMax: 1, threads: 1 }), runEach)

const expectSame = async (found: ReadonlyArray<Transcript>): Promise<void> => {
  const expected = await alone
  for (const [i, transcript] of found.entries()) {
    expect(essence(transcript), `sequence ${i}`).toEqual(essence(expected[i] ?? transcript))
    expect(transcript.ids).toHaveLength(outputTokens)
  }
  expect(found).toHaveLength(expected.length)
}

describe("a sequence is bitwise the same", { timeout: 120_000 }, () => {
  it("in a crowd of 16", async () => {
    await expectSame(await withNative(options({ sequencesMax: 16 }), runTogether))
  })

  it("with one thread and with two", async () => {
    await expectSame(await withNative(options({ sequencesMax: 4, threads: 2 }), runTogether))
  })

  it.each([7, 64])("with its prompt computed in chunks of %i", async (chunkTokensMax) => {
    const limits = options({ sequencesMax: 5, chunkTokensMax, batchTokensMax: 96 })
    await expectSame(await withNative(limits, runTogether))
  })

  it("after a prefix hit", async () => {
    const found = await withNative(
      options({ sequencesMax: 16, prefixCache: true }),
      async (run) => {
        await runTogether(run)
        return runTogether(run)
      },
    )
    await expectSame(found)
    const hits = found.map(({ cachedTokens }) => cachedTokens)
    const wanted = sequences.map(({ promptIds }) => Math.floor((promptIds.length - 1) / 16) * 16)
    expect(hits).toEqual(wanted)
  })

  it.each([
    ["swap", 64],
    ["recompute", 0],
  ])("after preemption by %s", async (_, swapBlocks) => {
    const limits = options({
      sequencesMax: 16,
      // 16 sequences of some 6 blocks want about 100.
      kvBytes: 40 * blockBytes,
      swapBytes: swapBlocks * blockBytes,
    })
    const found = await withNative(limits, async (run, engine) => {
      const done = await runTogether(run)
      expect(engine.info.blocks).toBe(40)
      expect(engine.stats().preemptions).toBeGreaterThan(3)
      return done
    })
    await expectSame(found)
  })

  it.each([1, 15, 16, 17, 39])("after adoption of its first %i ids", async (cut) => {
    const expected = await alone
    const found = await withNative(options({ sequencesMax: 16 }), (run) =>
      Promise.all(
        sequences.map((sequence, i) =>
          run({ ...sequence, generatedIds: expected[i]?.ids.slice(0, cut) ?? [] }),
        ),
      ),
    )
    for (const [i, transcript] of found.entries()) {
      expect(essence(transcript), `sequence ${i}`).toEqual({
        ids: expected[i]?.ids.slice(cut),
        logprobs: expected[i]?.logprobs.slice(cut),
      })
    }
  })

  it("when its prompt is scored, and the scores are too", async () => {
    const scored = sequences.map((one) => ({
      ...one,
      sampling: { ...one.sampling, promptLogprobs: 1 },
    }))
    const run = (changes: Partial<NativeEngineOptions>) =>
      withNative(options(changes), (runOne) => Promise.all(scored.map((one) => runOne(one))))
    const whole = await run({ sequencesMax: 1 })
    const chunked = await run({ sequencesMax: 16, chunkTokensMax: 7, prefixCache: true })
    await expectSame(chunked)
    expect(chunked.map((one) => one.promptLogprobs)).toEqual(whole.map((one) => one.promptLogprobs))
    expect(whole.map((one) => one.promptLogprobs?.length)).toEqual(
      sequences.map(({ promptIds }) => promptIds.length - 1),
    )
  })
})
