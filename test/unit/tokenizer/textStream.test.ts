// Stop strings, hold-back, special tokens and leading spaces of a TextStream, against plain
// references.
import { describe, expect, it } from "vitest"
import { makeTextStream, type TextStreamOptions } from "../../../src/tokenizer/TextStream.ts"
import { byteModel, makeRandom } from "../../support/tokenizer.ts"

const defaults: TextStreamOptions = {
  stop: [],
  includeStop: false,
  skipSpecialTokens: true,
  minTokens: 0,
}

const run = (tokens: ReadonlyArray<string>, options: Partial<TextStreamOptions> = {}) => {
  const stream = makeTextStream(byteModel(tokens), { ...defaults, ...options })
  const pieces: Array<string> = []
  for (const [id] of tokens.entries()) {
    const piece = stream.push(id, id === tokens.length - 1)
    pieces.push(piece.text)
    if (piece.stopped !== null) return { pieces, text: pieces.join(""), stopped: piece.stopped }
  }
  return { pieces, text: pieces.join(""), stopped: null }
}

/** By trying every end: the earliest that ends a stop string in a token that may stop. */
const reference = (
  tokens: ReadonlyArray<string>,
  stop: ReadonlyArray<string>,
  minTokens: number,
) => {
  const text = tokens.join("")
  const free = tokens.slice(0, minTokens).join("").length
  for (let end = free + 1; end <= text.length; end++) {
    const met = stop.filter((s) => s !== "" && text.slice(0, end).endsWith(s))
    const longest = met.toSorted((a, b) => b.length - a.length)[0]
    if (longest !== undefined)
      return { text: text.slice(0, end - longest.length), stopped: longest }
  }
  return { text, stopped: null }
}

describe("stop strings", () => {
  it("cuts the text before a stop string that spans tokens", () => {
    const { text, stopped, pieces } = run(["Hello", " <", "|end", "|> more"], { stop: ["<|end|>"] })
    expect({ text, stopped }).toEqual({ text: "Hello ", stopped: "<|end|>" })
    expect(pieces).toEqual(["Hello", " ", "", ""])
  })

  it("keeps it when asked, and drops what the same token says after it", () => {
    const { text } = run(["a", "b</s>c"], { stop: ["</s>"], includeStop: true })
    expect(text).toBe("ab</s>")
  })

  it("lets go of a beginning that came to nothing", () => {
    expect(run(["ab", "ab", "x", "."], { stop: ["ababc"] }).pieces).toEqual(["", "", "ababx", "."])
  })

  it("gives out what was held back with the last token", () => {
    expect(run(["One", "\n"], { stop: ["\n\n"] })).toMatchObject({ text: "One\n", stopped: null })
  })

  it("takes the stop string that ends first, and of those that end together the longest", () => {
    expect(run(["xabcd"], { stop: ["abcd", "bc"] }).stopped).toBe("bc")
    expect(run(["xab"], { stop: ["b", "ab"] })).toMatchObject({ text: "x", stopped: "ab" })
  })

  it("does not stop below minTokens, but may with a string that ends later", () => {
    expect(run(["a.", "b.", "c."], { stop: ["."], minTokens: 2 }).text).toBe("a.b.c")
    expect(run(["a<", ">b"], { stop: ["<>"], minTokens: 1 })).toMatchObject({ text: "a" })
  })

  it("ignores empty strings and halves of surrogate pairs", () => {
    expect(run(["a😀b"], { stop: ["", "\ud83d", "\ude00"] })).toMatchObject({ text: "a😀b" })
  })

  it("equals the reference for random texts, cuts and stops, and never holds back too much", () => {
    const random = makeRandom(11)
    const word = (most: number) =>
      Array.from({ length: random(most) + 1 }, () => "aab"[random(3)]).join("")
    for (let round = 0; round < 20_000; round++) {
      const tokens = Array.from({ length: random(8) + 1 }, () => word(4))
      const stop = Array.from({ length: random(3) + 1 }, () => word(6))
      const minTokens = random(3)
      const { pieces, text, stopped } = run(tokens, { stop, minTokens })
      const label = JSON.stringify({ tokens, stop, minTokens })
      expect({ text, stopped }, label).toEqual(reference(tokens, stop, minTokens))
      for (let n = 1; n < pieces.length; n++) {
        const seen = tokens.slice(0, n).join("")
        const held = seen.slice(pieces.slice(0, n).join("").length)
        if (held !== "")
          expect(
            stop.some((s) => s !== held && s.startsWith(held)),
            label,
          ).toBe(true)
      }
    }
  })

  it("costs linear time for long, self-similar stop strings", () => {
    const stop = [`${"a".repeat(50_000)}b`]
    const started = performance.now()
    const { text } = run(
      Array.from({ length: 2_000 }, () => "a".repeat(100)),
      { stop },
    )
    expect(text).toHaveLength(200_000)
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})

describe("special tokens and spaces", () => {
  const push = (ids: ReadonlyArray<number>, options: Partial<TextStreamOptions>) => {
    const model = byteModel(
      ["<s>", " Once", " upon", " ", Uint8Array.of(0xe2), Uint8Array.of(0x82, 0xac)],
      {
        specialIds: [0],
        stripsLeadingSpace: true,
      },
    )
    const stream = makeTextStream(model, { ...defaults, ...options })
    return ids.map((id, i) => stream.push(id, i === ids.length - 1).text)
  }

  it("drops the first space of a text only", () => {
    expect(push([0, 1, 2], {})).toEqual(["", "Once", " upon"])
    expect(push([3, 3, 1], {})).toEqual(["", " ", " Once"])
  })

  it("keeps it where the text goes on from a prompt, or special tokens are shown", () => {
    expect(push([1, 2], { continuesText: true })).toEqual([" Once", " upon"])
    expect(push([0, 1], { skipSpecialTokens: false })).toEqual(["<s>", " Once"])
  })

  it("joins a character that a skipped special token cuts", () => {
    expect(push([4, 0, 5], {})).toEqual(["", "", "€"])
    expect(push([1, 4, 0], {})).toEqual(["Once", "", "\ufffd"])
  })

  it("gives no text for ids outside the vocabulary, and nothing after the last token", () => {
    expect(push([1, 99, -1, 2], {})).toEqual(["Once", "", "", " upon"])
    const stream = makeTextStream(byteModel(["a"]), defaults)
    expect([stream.push(0, true).text, stream.push(0, true).text]).toEqual(["a", ""])
  })
})
