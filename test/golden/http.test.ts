// Greedy ids equal the golden files' over HTTP: each prompt alone and whole, then sixteen at once
// as streams, with prompts cut into chunks by a small token budget. What a client gets is
// compared, so the log, the relay and the dialect are in the path.
import { describe, expect, it } from "vitest"
import {
  type GoldenCase,
  type GoldenModel,
  goldenModels,
  goldenSmollm2,
} from "../support/golden.ts"
import { startSluice } from "../support/server.ts"
import { hasShared } from "../support/shared.ts"

const crowdSize = 16
const loadMsMax = 120_000

interface Chunk {
  readonly choices: ReadonlyArray<{ readonly token_ids?: ReadonlyArray<number> }>
}

const ask = async (url: string, golden: GoldenCase, stream: boolean): Promise<Response> => {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      prompt: golden.promptIds,
      max_tokens: golden.greedyIds.length,
      temperature: 0,
      ignore_eos: true,
      return_token_ids: true,
      stream,
    }),
  })
  expect(response.status, golden.name).toBe(200)
  return response
}

const idsOf = (chunk: Chunk) => chunk.choices[0]?.token_ids ?? []

const wholeIds = async (url: string, golden: GoldenCase) =>
  idsOf(JSON.parse(await (await ask(url, golden, false)).text()))

const streamedIds = async (url: string, golden: GoldenCase) => {
  const text = await (await ask(url, golden, true)).text()
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .flatMap((line) => idsOf(JSON.parse(line.slice("data: ".length))))
}

const expectGolden = async ({ folder, cases }: GoldenModel): Promise<void> => {
  expect(cases.length).toBeGreaterThan(0)
  const sluice = await startSluice({
    flags: ["--model", folder],
    env: { SLUICE_WORKER_BATCH_TOKENS_MAX: "24", SLUICE_WORKER_SEQUENCES_MAX: String(crowdSize) },
    readyMsMax: loadMsMax,
  })
  try {
    for (const golden of cases) {
      expect(await wholeIds(sluice.url, golden), golden.name).toEqual(golden.greedyIds)
    }
    const crowd = Array.from({ length: crowdSize }, (_, i) => cases[i % cases.length])
    await Promise.all(
      crowd.map(async (golden) => {
        if (golden === undefined) return
        expect(await streamedIds(sluice.url, golden), golden.name).toEqual(golden.greedyIds)
      }),
    )
  } finally {
    await sluice.stop()
  }
}

describe("greedy ids over HTTP", () => {
  it("has its golden files: shared/ lies beside the project", () => {
    expect(hasShared("models/README.md")).toBe(true)
  })
  const how = `alone, and in a crowd of ${crowdSize} with chunked prompts`
  for (const model of goldenModels()) {
    it(`${model.name}: ${how}`, async () => {
      await expectGolden(model)
    }, 120_000)
  }
  it(`SmolLM2-135M: ${how}`, async (context) => {
    const model = await goldenSmollm2()
    if (model === null) return context.skip("SmolLM2 could not be made (the reason is above)")
    await expectGolden(model)
  }, 300_000)
})
