// What a request says where nothing goes wrong: the scripted engine's tokens and the product's
// text, made in one go without logs, workers or time. A generation that was killed and adopted
// must be equal to it, byte for byte.
import type { RequestAccepted, TokenEntry } from "../../schemas/types.ts"
import { advance, startScript } from "../../src/generate/engine/scriptedSequence.ts"
import type { ScriptRules } from "../../src/generate/engine/scriptedSequence.ts"
import { FrameBuffer } from "../../src/generate/frameBuffer.ts"
import { Generation, sequenceOf } from "../../src/generate/generation.ts"
import { makeTextStream } from "../../src/tokenizer/TextStream.ts"
import type { Undisturbed } from "../support/checker/check.ts"
import { letters } from "../support/generate.ts"

const textOf = (request: RequestAccepted, prompt: ReadonlyArray<number>) => {
  const { stop, includeStop, skipSpecialTokens, minTokens } = request.sampling
  const isMarked = letters.specialIds.has(prompt.at(-1) ?? -1)
  const continuesText = request.dialect !== "chat" && !isMarked
  const options = { stop, includeStop, skipSpecialTokens, minTokens, continuesText }
  return makeTextStream(letters, options)
}

export const undisturbed =
  (rules: ScriptRules) =>
  (request: RequestAccepted): ReadonlyArray<Undisturbed> => {
    const buffer = new FrameBuffer()
    const generation = new Generation({
      request,
      attempt: 1,
      buffer,
      makeText: (prompt) => textOf(request, prompt),
      logged: [],
    })
    const said: Array<{ ids: Array<number>; texts: Array<string> }> = []
    for (const choice of generation.choices) {
      said[choice.index] = { ids: [], texts: [] }
      const script = startScript(sequenceOf(choice, choice.index + 1, 0))
      while (!generation.accept(choice, advance(script, rules))) continue
    }
    for (const { entry } of buffer.takeAll()) take(said, entry)
    return said
  }

const take = (
  said: ReadonlyArray<{ ids: Array<number>; texts: Array<string> }>,
  entry: TokenEntry,
): void => {
  if (entry.kind !== "TokensGenerated") return
  said[entry.choice]?.ids.push(...entry.ids)
  said[entry.choice]?.texts.push(...entry.texts)
}
