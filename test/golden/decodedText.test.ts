// The published texts of golden ids, by our one decoder: whole, and a token at a time; and a
// prompt's text followed by its completion's is the text of both together.
import { readFileSync } from "node:fs"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeTokenizer } from "../../src/tokenizer/layer.ts"
import { makeTextStream } from "../../src/tokenizer/TextStream.ts"
import { hasShared, sharedPath } from "../support/shared.ts"

interface Golden {
  readonly ids: ReadonlyArray<number>
  readonly text: string
}

const files = [
  ["stories260K-hf", "golden_greedy_bos.json"],
  ["stories260K-hf", "golden_greedy_once_upon_a_time.json"],
  ["infinitensor-story", "golden_greedy_once_upon_a_time.json"],
] as const

const promptIds = 6

describe("golden texts", () => {
  for (const [model, file] of files) {
    const here = hasShared(`models/${model}/${file}`)
    const name = `${model}, ${file}${here ? "" : " (shared data is absent)"}`
    it.live.skipIf(!here)(name, () =>
      Effect.gen(function* () {
        const golden: Golden = JSON.parse(readFileSync(sharedPath("models", model, file), "utf8"))
        const { ids, text } = golden
        const tokenizer = yield* makeTokenizer(sharedPath("models", model))
        expect(tokenizer.decode(ids, true).trim()).toBe(text.trim())
        const options = { stop: [], includeStop: false, skipSpecialTokens: true, minTokens: 0 }
        const stream = makeTextStream(tokenizer.model, { ...options, continuesText: true })
        const completion = ids
          .slice(promptIds)
          .map((id, i, all) => stream.push(id, i === all.length - 1).text)
        const prompt = tokenizer.decode(ids.slice(0, promptIds), true)
        expect(prompt + completion.join("")).toBe(tokenizer.decode(ids, true))
      }).pipe(Effect.scoped),
    )
  }
})
