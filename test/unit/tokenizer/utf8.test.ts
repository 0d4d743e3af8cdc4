// Decoding bytes in pieces equals decoding them whole, wherever they are cut and whatever they are.
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { decodeUtf8, unfinishedBytes } from "../../../src/tokenizer/utf8.ts"
import { makeTextStream } from "../../../src/tokenizer/TextStream.ts"
import { hasShared, sharedPath } from "../../support/shared.ts"
import { byteModel, makeRandom } from "../../support/tokenizer.ts"

const whatwg = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)

/** The bytes through a TextStream whose tokens are the bytes between the cuts. */
const streamed = (bytes: Uint8Array, cuts: ReadonlyArray<number>): string => {
  const edges = [0, ...cuts, bytes.length]
  const tokens = edges.slice(1).map((edge, i) => bytes.slice(edges[i], edge))
  const options = { stop: [], includeStop: false, skipSpecialTokens: true, minTokens: 0 }
  const stream = makeTextStream(byteModel(tokens), options)
  return tokens.map((_, id) => stream.push(id, id === tokens.length - 1).text).join("")
}

const everyCut = (bytes: Uint8Array) => {
  for (let a = 0; a <= bytes.length; a++) {
    for (let b = a; b <= bytes.length; b++) {
      expect(streamed(bytes, [a, b]), `${Buffer.from(bytes).toString("hex")} ${a} ${b}`).toBe(
        whatwg(bytes),
      )
    }
  }
}

const linesOf = (bytes: Buffer): ReadonlyArray<Uint8Array> => {
  const lines: Array<Uint8Array> = []
  for (let start = 0, end = 0; start < bytes.length; start = end + 1) {
    end = bytes.indexOf(0x0a, start)
    if (end < 0) end = bytes.length
    lines.push(bytes.subarray(start, end))
  }
  return lines
}

describe("incremental UTF-8", () => {
  it("holds back exactly the bytes that a later byte could complete", () => {
    const held = (...bytes: ReadonlyArray<number>) => unfinishedBytes(Uint8Array.from(bytes))
    expect(held()).toBe(0)
    expect(held(0x41)).toBe(0)
    expect(held(0xf0, 0x9f, 0x91)).toBe(3)
    expect(held(0x41, 0xe2, 0x82)).toBe(2)
    expect(held(0xc3)).toBe(1)
    expect(held(0xc0)).toBe(0)
    expect(held(0xe0, 0x80)).toBe(0)
    expect(held(0xed, 0xa0)).toBe(0)
    expect(held(0xf4, 0x90)).toBe(0)
    expect(held(0x80, 0x80, 0x80)).toBe(0)
    expect(held(0xf0, 0x9f, 0x91, 0xa8)).toBe(0)
  })

  it("equals the whole decode for emoji and a byte-order mark at every pair of cuts", () => {
    for (const text of ["\ufeffa", "a👨‍👩‍👧b", "é漢🏳️‍🌈"]) everyCut(Buffer.from(text))
  })

  it("equals the whole decode for random bytes at random cuts", () => {
    const random = makeRandom(7)
    const alphabet = [
      0x41, 0x80, 0xbf, 0xc0, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0x9f, 0xa0,
    ]
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from(
        { length: random(10) },
        () => alphabet[random(alphabet.length)] ?? 0,
      )
      const cuts = Array.from({ length: random(6) }, () => random(bytes.length + 1))
      cuts.sort((a, b) => a - b)
      expect(streamed(bytes, cuts), `${Buffer.from(bytes).toString("hex")} ${cuts}`).toBe(
        whatwg(bytes),
      )
    }
  })

  const here = hasShared("hostile/utf8")
  it.skipIf(!here)(`equals the reference on flenniken/utf8tests${here ? "" : " (absent)"}`, () => {
    const read = (name: string) => readFileSync(sharedPath("hostile/utf8", name))
    const expected = new Map(
      read("utf8.replace.ref.txt")
        .toString("utf8")
        .split("\n")
        .map((line) => [line.split(":", 1)[0], line]),
    )
    let cases = 0
    for (const line of linesOf(read("utf8tests.bin"))) {
      const decoded = decodeUtf8(line)
      const number = decoded.split(":", 1)[0]
      expect(decoded).toBe(expected.get(number))
      everyCut(line)
      cases++
    }
    expect(cases).toBeGreaterThan(200)
  })
})
