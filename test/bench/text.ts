// What turning one generated id into text costs: an ordinary token, the same with stop strings, and
// a text whose every character is cut over tokens. Nanoseconds a token, the bundled model's
// vocabulary.
import { Effect } from "effect"
import { makeTokenizer } from "../../src/tokenizer/layer.ts"
import { makeTextStream, type TextStreamOptions } from "../../src/tokenizer/TextStream.ts"
import type { TokenizerModel } from "../../src/tokenizer/Tokenizer.ts"
import { projectRoot } from "../support/shared.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

const plain: TextStreamOptions = {
  stop: [],
  includeStop: false,
  skipSpecialTokens: true,
  minTokens: 0,
}

interface Pushing {
  readonly model: TokenizerModel
  readonly ids: ReadonlyArray<number>
  readonly count: number
}

const nsPerToken = ({ model, ids, count }: Pushing, options: TextStreamOptions): number => {
  const stream = makeTextStream(model, options)
  let units = 0
  const start = process.hrtime.bigint()
  for (let i = 0; i < count; i++) units += stream.push(ids[i % ids.length] ?? 0, false).text.length
  const ns = Number(process.hrtime.bigint() - start) / count
  if (units === 0) throw new Error("no text came out")
  return Math.round(ns)
}

const measure = (count: number) =>
  Effect.gen(function* () {
    const { model, encode } = yield* makeTokenizer(`${projectRoot}models/tales-11m`)
    const tale = yield* encode(
      "Once upon a time a small fox lived in a big forest. ".repeat(20),
      false,
    )
    const cut = yield* encode("漢字👨‍👩‍👧é".repeat(50), false)
    const run = (ids: ReadonlyArray<number>, options: TextStreamOptions) =>
      nsPerToken({ model, ids, count }, options)
    run(tale, plain)
    return {
      tokens: count,
      plainNs: run(tale, plain),
      stopStringsNs: run(tale, { ...plain, stop: ["<|end|>", "\n\nUser:", "###"] }),
      cutCharactersNs: run(cut, plain),
    }
  }).pipe(Effect.scoped)

export const run = ({ small }: BenchOptions): Promise<BenchResult> =>
  Effect.runPromise(measure(small ? 100_000 : 3_000_000))
