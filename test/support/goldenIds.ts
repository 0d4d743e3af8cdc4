// The golden greedy ids beside the models in shared/: three shapes of file, one list of cases.
import { readFileSync } from "node:fs"
import { Schema } from "effect"
import { sharedPath } from "./shared.ts"

export interface GoldenCase {
  readonly name: string
  readonly promptIds: ReadonlyArray<number>
  readonly ids: ReadonlyArray<number>
}

const Ids = Schema.Array(Schema.Number)
const PathFile = Schema.Struct({ ids: Ids })
const CaseFile = Schema.Struct({
  cases: Schema.Array(Schema.Struct({ prompt: Schema.Unknown, prompt_ids: Ids, greedy_ids: Ids })),
})
const PromptFile = Schema.Struct({
  prompts: Schema.Array(Schema.Struct({ name: Schema.String, prompt_ids: Ids, ids: Ids })),
})

const read = (path: string): unknown => JSON.parse(readFileSync(sharedPath("models", path), "utf8"))

/** One list of ids, the prompt's first. */
export const goldenPath = (path: string, promptTokens: number): ReadonlyArray<GoldenCase> => {
  const { ids } = Schema.decodeUnknownSync(PathFile)(read(path))
  return [{ name: path, promptIds: ids.slice(0, promptTokens), ids: ids.slice(promptTokens) }]
}

export const goldenCases = (path: string): ReadonlyArray<GoldenCase> =>
  Schema.decodeUnknownSync(CaseFile)(read(path)).cases.map((one) => ({
    name: JSON.stringify(one.prompt),
    promptIds: one.prompt_ids,
    ids: one.greedy_ids,
  }))

export const goldenPrompts = (path: string): ReadonlyArray<GoldenCase> =>
  Schema.decodeUnknownSync(PromptFile)(read(path)).prompts.map((one) => ({
    name: one.name,
    promptIds: one.prompt_ids,
    ids: one.ids,
  }))
