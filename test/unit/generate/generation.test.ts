import { describe, expect, it } from "vitest"
import type { RequestAccepted, TokenEntry, TokensGenerated } from "../../../schemas/types.ts"
import type { StepEntry } from "../../../src/generate/engine/stepOutput.ts"
import { FrameBuffer } from "../../../src/generate/frameBuffer.ts"
import { Generation, type LoggedChoice, sequenceOf } from "../../../src/generate/generation.ts"
import { makeTextStream } from "../../../src/tokenizer/TextStream.ts"
import { accepted, letters } from "../../support/generate.ts"

const stepped = (position: number, ids: ReadonlyArray<number>, more: Partial<StepEntry> = {}) => ({
  sequence: 1,
  finish: null,
  stopToken: null,
  position,
  ids,
  cachedTokens: 0,
  logprobs: null,
  promptLogprobs: null,
  ...more,
})

const begin = (request: RequestAccepted, logged: ReadonlyArray<LoggedChoice> = []) => {
  const buffer = new FrameBuffer()
  const { stop, includeStop, skipSpecialTokens, minTokens } = request.sampling
  const options = { stop, includeStop, skipSpecialTokens, minTokens }
  const generation = new Generation({
    request,
    attempt: 1,
    buffer,
    makeText: () => makeTextStream(letters, options),
    logged,
  })
  const entries = (): ReadonlyArray<TokenEntry> => buffer.pending.map(({ entry }) => entry)
  const tokens = () =>
    entries().filter((entry): entry is TokensGenerated => entry.kind === "TokensGenerated")
  return { generation, buffer, entries, tokens }
}

const ids = (text: string) => [...text].map((letter) => letter.charCodeAt(0))

describe("a generation", () => {
  it("merges a choice's tokens into one entry until the buffer is taken", () => {
    const { generation, buffer, tokens } = begin(accepted())
    const choice = generation.choices[0]!
    generation.accept(choice, stepped(0, ids("a")))
    generation.accept(choice, stepped(1, ids("bc")))
    expect(tokens()).toMatchObject([{ position: 0, ids: ids("abc"), texts: ["a", "b", "c"] }])
    buffer.takeAll()
    generation.accept(choice, stepped(3, ids("d"), { finish: "length" }))
    expect(tokens()).toMatchObject([{ position: 3, texts: ["d"], finish: "length" }])
    expect(generation.over).toBe(true)
  })

  it("makes the first token and the end urgent, nothing between", () => {
    const { generation, buffer } = begin(accepted())
    const choice = generation.choices[0]!
    generation.accept(choice, stepped(0, ids("a")))
    expect(buffer.takeUrgent()).toHaveLength(1)
    generation.accept(choice, stepped(1, ids("b")))
    expect(buffer.takeUrgent()).toHaveLength(0)
    generation.accept(choice, stepped(2, ids("c"), { finish: "stop" }))
    expect(buffer.takeUrgent()).toHaveLength(1)
  })

  it("ends at a stop string in the midst of a step and drops what came after", () => {
    const { generation, tokens } = begin(accepted({ stop: ["END"] }))
    const ended = generation.accept(generation.choices[0]!, stepped(0, ids("okENDxx")))
    expect(ended).toBe(true)
    expect(tokens()).toMatchObject([{ ids: ids("okEND"), finish: "stop", stopReason: "END" }])
    expect(tokens()[0]!.texts.join("")).toBe("ok")
  })

  it("gives a stop token no text, lets held text out, and names the token", () => {
    const { generation, tokens } = begin(accepted({ stop: ["EX"], stopTokenIds: [46] }))
    const entry = stepped(0, ids("hE."), { finish: "stop", stopToken: 46 })
    generation.accept(generation.choices[0]!, entry)
    expect(tokens()[0]).toMatchObject({ ids: ids("hE."), finish: "stop", stopReason: "46" })
    expect(tokens()[0]!.texts.join("")).toBe("hE")
  })

  it("is over when all choices are", () => {
    const { generation, tokens } = begin(accepted({}, { n: 2 }))
    generation.accept(generation.choices[1]!, stepped(0, ids("b"), { finish: "length" }))
    expect(generation.over).toBe(false)
    generation.accept(generation.choices[0]!, stepped(0, ids("a"), { finish: "length" }))
    expect(generation.over).toBe(true)
    expect(tokens().map(({ choice }) => choice)).toEqual([1, 0])
  })

  it("goes on after logged ids: positions, held text and finished choices", () => {
    const { generation, tokens } = begin(accepted({ stop: ["END"] }, { n: 2 }), [
      { ids: ids("okEN"), finished: false },
      { ids: ids("z"), finished: true },
    ])
    const [first, second] = generation.choices
    expect(second!.finished).toBe(true)
    expect(sequenceOf(first!, 9, 0).generatedIds).toEqual(ids("okEN"))
    generation.accept(first!, stepped(4, ids("D")))
    expect(tokens()).toMatchObject([{ position: 4, texts: [""], finish: "stop" }])
    expect(generation.over).toBe(true)
  })

  it("logs a prompt's scores once, before its first token", () => {
    const { generation, entries } = begin(accepted({ promptLogprobs: 0, maxTokens: 0 }, { n: 2 }))
    const scored = { promptLogprobs: [{ logprob: -1, top: [] }], finish: "length" as const }
    for (const choice of generation.choices) generation.accept(choice, stepped(0, [], scored))
    expect(entries()).toMatchObject([{ kind: "PromptScored", prompt: 0 }])
    expect(generation.over).toBe(true)
  })

  it("stops the process rather than log a gap", () => {
    const { generation } = begin(accepted())
    expect(() => generation.accept(generation.choices[0]!, stepped(1, ids("b")))).toThrow(
      "position 1, expected 0",
    )
  })

  it("counts cached tokens once a prompt, never above its length", () => {
    const { generation } = begin(accepted({}, { n: 2, prompts: [[1, 2, 3], [4]] }))
    for (const choice of generation.choices) {
      generation.accept(choice, stepped(0, ids("a"), { cachedTokens: 2 }))
    }
    expect(generation.cachedTokens).toBe(3)
    expect(generation.promptTokens).toBe(4)
  })
})
