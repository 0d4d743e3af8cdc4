// Greedy ids equal the golden files' through the engine: each prompt alone, then all together in a
// batch of 16 with prompts computed in chunks of 7.
import { describe, expect, it } from "vitest"
import type { EngineSequence } from "../../src/generate/engine/Engine.ts"
import { nativeDefaults } from "../../src/generate/engine/NativeEngine.ts"
import { makeSequence } from "../support/engineSequence.ts"
import { type GoldenCase, goldenModels, goldenSmollm2 } from "../support/golden.ts"
import { type RunSequence, withNative } from "../support/nativeEngine.ts"
import { hasShared } from "../support/shared.ts"
import { talesFolder } from "../support/talesEngine.ts"

const sequencesMax = 16

const sequenceOf = (golden: GoldenCase, handle: number): EngineSequence =>
  makeSequence(handle, {
    promptIds: golden.promptIds,
    sampling: { maxTokens: golden.greedyIds.length, temperature: 0, ignoreEos: true },
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
    expect((await run(sequenceOf(golden, i))).ids, golden.name).toEqual(golden.greedyIds)
  }
}

/** Every slot is taken: cases are repeated until there are 16 of them. */
const runTogether = (cases: ReadonlyArray<GoldenCase>) => async (run: RunSequence) => {
  const crowd = Array.from({ length: sequencesMax }, (_, i) => cases[i % cases.length])
  await Promise.all(
    crowd.map(async (golden, i) => {
      if (golden === undefined) return
      expect((await run(sequenceOf(golden, i))).ids, golden.name).toEqual(golden.greedyIds)
    }),
  )
}

const expectGolden = async (folder: string, cases: ReadonlyArray<GoldenCase>): Promise<void> => {
  expect(cases.length).toBeGreaterThan(0)
  await withNative(optionsOf(folder, { chunkTokensMax: 0 }), runAlone(cases))
  await withNative(optionsOf(folder, { chunkTokensMax: 7 }), runTogether(cases))
}

const hasModels = hasShared("models/README.md")

describe("greedy ids through the engine", () => {
  it("has its golden files: shared/ lies beside the project", () => {
    expect(hasModels).toBe(true)
  })

  it.each(hasModels ? goldenModels() : [])("$name", { timeout: 120_000 }, async (model) => {
    await expectGolden(model.folder, model.cases)
  })

  it("the bundled model is the one of the golden file", { timeout: 120_000 }, async () => {
    const tales = goldenModels().find(({ name }) => name === "tales-11m")
    await expectGolden(talesFolder, tales?.cases ?? [])
  })

  it("SmolLM2-135M", { timeout: 400_000 }, async (context) => {
    const model = await goldenSmollm2()
    if (model === null) return context.skip("it cannot be made here; the reason is above")
    await expectGolden(model.folder, model.cases)
  })
})
