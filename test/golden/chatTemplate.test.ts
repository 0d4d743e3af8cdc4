// Chat templates give what transformers gives: expected.json was made by chat/render.py with
// Python's jinja2, from the same templates.
import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeTokenizer } from "../../src/tokenizer/layer.ts"
import type { ChatMessage } from "../../src/tokenizer/Tokenizer.ts"
import { hasShared, projectRoot, sharedPath } from "../support/shared.ts"

interface Case {
  readonly name: string
  readonly model: string
  readonly addGenerationPrompt: boolean
  readonly variables?: Record<string, unknown>
  readonly tools?: ReadonlyArray<unknown>
  readonly messages: ReadonlyArray<ChatMessage>
}

const read = (name: string) =>
  JSON.parse(readFileSync(`${projectRoot}test/golden/chat/${name}`, "utf8"))
const cases: ReadonlyArray<Case> = read("cases.json")
const expected: Record<string, string> = read("expected.json")

const render = Effect.fnUntraced(function* (item: Case, folder: string) {
  const tokenizer = yield* makeTokenizer(folder)
  return yield* tokenizer.renderChat(item.messages, {
    addGenerationPrompt: item.addGenerationPrompt,
    tools: item.tools ?? null,
    variables: item.variables ?? {},
  })
}, Effect.scoped)

describe("chat templates equal transformers'", () => {
  it("has an expectation for each case and no other", () => {
    expect(Object.keys(expected)).toEqual(cases.map(({ name }) => name))
  })
  for (const item of cases) {
    const bundled = item.model === "tales-11m"
    const folder = bundled ? `${projectRoot}models/tales-11m` : sharedPath("models", item.model)
    const skipped = bundled || hasShared(`models/${item.model}`) ? "" : " (shared data is absent)"
    it.effect.skipIf(skipped !== "")(item.name + skipped, () =>
      Effect.gen(function* () {
        expect(yield* render(item, folder)).toBe(expected[item.name])
      }),
    )
  }
})
