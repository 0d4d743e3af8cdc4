// Greedy ids equal the golden files' through the engine: each prompt alone, then all together in a
// batch of 16 with prompts computed in chunks of 7.
import { describe, expect, it } from "vitest"
import type { EngineSequence } from "../../src/generate/engine/Engine.ts"
import { nativeDefaults } from "../../src/generate/engine/NativeEngine.ts"
import { makeSequence } from "../support/engineSequence.ts"
import { goldenCases, goldenPath, goldenPrompts, type GoldenCase } from "../support/goldenIds.ts"
import { type RunSequence, withNative } from "../support/nativeEngine.ts"
import { hasShared, sharedPath } from "../support/shared.ts"
import { smollm2 } from "../support/smollm2.ts"
import { talesFolder } from "../support/talesEngine.ts"

const sequencesMax = 16

const sequenceOf = (golden: GoldenCase, handle: number): EngineSequence =>
  makeSequence(handle, {
    promptIds: golden.promptIds,
    sampling: { maxTokens: golden.ids.length, temperature: 0, ignoreEos: true },
  })

const optionsOf = (folder: string, changes: { chunkTokensMax: number }) => ({
  ...nativeDefaults,
  ...changes,
  folder,
  model: "golden",
  eosIds: [],
  sequencesMax,
  batchTokensMax: 64,
  prefixCache: false,
  kvBytes: 512 * 2 ** 20,
})

const runAlone = (cases: ReadonlyArray<GoldenCase>) => async (run: RunSequence) => {
  for (const [i, golden] of cases.entries()) {
    expect((await run(sequenceOf(golden, i))).ids, golden.name).toEqual(golden.ids)
  }
}

/** Every slot is taken: cases are repeated until there are 16 of them. */
const runTogether = (cases: ReadonlyArray<GoldenCase>) => async (run: RunSequence) => {
  const crowd = Array.from({ length: sequencesMax }, (_, i) => cases[i % cases.length])
  await Promise.all(
    crowd.map(async (golden, i) => {
      if (golden === undefined) return
      expect((await run(sequenceOf(golden, i))).ids, golden.name).toEqual(golden.ids)
    }),
  )
}

const expectGolden = async (folder: string, cases: ReadonlyArray<GoldenCase>): Promise<void> => {
  expect(cases.length).toBeGreaterThan(0)
  await withNative(optionsOf(folder, { chunkTokensMax: 0 }), runAlone(cases))
  await withNative(optionsOf(folder, { chunkTokensMax: 7 }), runTogether(cases))
}

describe("greedy ids through the engine", () => {
  const small: ReadonlyArray<readonly [string, () => ReadonlyArray<GoldenCase>]> = [
    [
      "stories260K-hf",
      () => [
        ...goldenPath("stories260K-hf/golden_greedy_bos.json", 1),
        ...goldenPath("stories260K-hf/golden_greedy_once_upon_a_time.json", 5),
      ],
    ],
    [
      "infinitensor-story",
      () => goldenPath("infinitensor-story/golden_greedy_once_upon_a_time.json", 6),
    ],
    ["tales-11m", () => goldenCases("tales-11m/golden_greedy.json")],
    ["tales-11m-awq", () => goldenCases("tales-11m-awq/golden_greedy.json")],
  ]

  it.each(small)("%s", { timeout: 120_000 }, async (name, cases) => {
    expect(hasShared(`models/${name}`), "shared/ is not beside the project").toBe(true)
    await expectGolden(sharedPath("models", name), cases())
  })

  it("the bundled model is the one of the golden file", { timeout: 120_000 }, async () => {
    await expectGolden(talesFolder, goldenCases("tales-11m/golden_greedy.json"))
  })

  it("SmolLM2-135M", { timeout: 400_000 }, async (context) => {
    const model = await smollm2()
    if ("why" in model) return context.skip(model.why)
    await expectGolden(model.folder, goldenPrompts("smollm2/golden_greedy.json"))
  })
})
