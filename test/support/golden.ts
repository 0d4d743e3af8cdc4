// The golden greedy ids beside the models in shared/: three shapes of file, one list of cases a
// model. All of them are equal in any dtype that keeps the stored weights: arithmetic is f32
// throughout.
import { readFileSync } from "node:fs"
import { Schema } from "effect"
import { sharedPath } from "./shared.ts"
import { smollm2 } from "./smollm2.ts"

export interface GoldenCase {
  readonly name: string
  readonly promptIds: ReadonlyArray<number>
  readonly greedyIds: ReadonlyArray<number>
  /** The last of greedyIds is the end-of-sequence id that ended it; else they go on past any. */
  readonly stopAtEos: boolean
}

export interface GoldenModel {
  readonly name: string
  readonly folder: string
  readonly dtype: "auto"
  readonly cases: ReadonlyArray<GoldenCase>
}

const Ids = Schema.Array(Schema.Number)
const PathFile = Schema.Struct({ ids: Ids })
const CaseFile = Schema.Struct({
  cases: Schema.Array(
    Schema.Struct({
      prompt: Schema.Unknown,
      prompt_ids: Ids,
      greedy_ids: Ids,
      stopped_at_eos: Schema.Boolean,
    }),
  ),
})
const PromptFile = Schema.Struct({
  prompts: Schema.Array(Schema.Struct({ name: Schema.String, prompt_ids: Ids, ids: Ids })),
})

const read = (path: string): unknown => JSON.parse(readFileSync(sharedPath("models", path), "utf8"))

/** One list of ids, the prompt's first. */
const casesOfPath = (path: string, promptTokens: number): ReadonlyArray<GoldenCase> => {
  const { ids } = Schema.decodeUnknownSync(PathFile)(read(path))
  return [
    {
      name: path,
      promptIds: ids.slice(0, promptTokens),
      greedyIds: ids.slice(promptTokens),
      stopAtEos: false,
    },
  ]
}

const casesOfList = (path: string): ReadonlyArray<GoldenCase> =>
  Schema.decodeUnknownSync(CaseFile)(read(path)).cases.map((one) => ({
    name: JSON.stringify(one.prompt),
    promptIds: one.prompt_ids,
    greedyIds: one.greedy_ids,
    stopAtEos: one.stopped_at_eos,
  }))

const model = (name: string, cases: ReadonlyArray<GoldenCase>): GoldenModel => ({
  name,
  folder: sharedPath("models", name),
  dtype: "auto",
  cases,
})

/** Every model whose folder is in shared/. */
export const goldenModels = (): ReadonlyArray<GoldenModel> => [
  model("stories260K-hf", [
    ...casesOfPath("stories260K-hf/golden_greedy_bos.json", 1),
    ...casesOfPath("stories260K-hf/golden_greedy_once_upon_a_time.json", 5),
  ]),
  model(
    "infinitensor-story",
    casesOfPath("infinitensor-story/golden_greedy_once_upon_a_time.json", 6),
  ),
  model("tales-11m", casesOfList("tales-11m/golden_greedy.json")),
  model("tales-11m-awq", casesOfList("tales-11m-awq/golden_greedy.json")),
]

/** SmolLM2-135M, which has to be made first; null (the reason is printed) where it cannot be. */
export const goldenSmollm2 = async (): Promise<GoldenModel | null> => {
  const folder = await smollm2()
  if (folder === null) return null
  const file = Schema.decodeUnknownSync(PromptFile)(read("smollm2/golden_greedy.json"))
  const cases = file.prompts.map((one) => ({
    name: one.name,
    promptIds: one.prompt_ids,
    greedyIds: one.ids,
    stopAtEos: false,
  }))
  return { name: "SmolLM2-135M", folder, dtype: "auto", cases }
}
