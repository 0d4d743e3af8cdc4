// Calls of tools out of a text: the same however the text is cut, in each format that models write.
import { assert, describe, it } from "@effect/vitest"
import { addCalls, ToolFold, type WholeCall } from "../../../src/api/answer/dialect/toolFold.ts"
import { accepted } from "../../support/answer/events.ts"
import { makeRandom } from "../../support/tokenizer.ts"

interface Read {
  readonly content: string
  readonly calls: ReadonlyArray<Omit<WholeCall, "id">>
  readonly deltas: number
}

const read = (format: string, pieces: ReadonlyArray<string>, parallel = true): Read => {
  const tools = { format, parallel, shown: "[]", choice: "null" }
  const fold = new ToolFold(accepted({ tools }), 0)
  let content = ""
  let calls: ReadonlyArray<WholeCall> = []
  let deltas = 0
  for (const [i, piece] of pieces.entries()) {
    const delta = fold.push(piece, i === pieces.length - 1)
    content += delta.content
    deltas += delta.calls.length
    calls = addCalls(calls, delta.calls)
  }
  assert.strictEqual(new Set(calls.map(({ id }) => id)).size, calls.length)
  return { content, calls: calls.map(({ id: _, ...call }) => call), deltas }
}

const cut = (text: string, seed: number): ReadonlyArray<string> => {
  const random = makeRandom(seed)
  const pieces: Array<string> = []
  for (let at = 0; at < text.length;) {
    const size = random(6)
    pieces.push(text.slice(at, at + size))
    at += size
  }
  return [...pieces, ""]
}

const paris = { name: "get_weather", arguments: '{"city": "Paris {\\"x\\"}", "days": [1, 2]}' }
const time = { name: "time", arguments: "{}" }

const hermes = ({ name, arguments: args }: typeof paris) =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`

const texts: ReadonlyArray<readonly [name: string, format: string, text: string, Partial<Read>]> = [
  ["one call", "hermes", hermes(paris), { content: "", calls: [paris] }],
  [
    "words, then two calls",
    "hermes",
    `Let me look.\n${hermes(paris)}\n${hermes(time)}`,
    { content: "Let me look.", calls: [paris, time] },
  ],
  ["no call", "hermes", "1 < 2 <tool", { content: "1 < 2 <tool", calls: [] }],
  [
    "arguments first",
    "hermes",
    `<tool_call>{"arguments":${paris.arguments},"name":"get_weather"}</tool_call>`,
    { content: "", calls: [paris] },
  ],
  [
    "arguments as a string",
    "hermes",
    `<tool_call>{"name":"time","arguments":"{\\"a\\": \\"\\u00e9\\"}"}</tool_call>`,
    { calls: [{ name: "time", arguments: '{"a": "é"}' }] },
  ],
  ["no name", "hermes", `<tool_call>{"a": 1}`, { content: '{"a": 1}', calls: [] }],
  [
    "Mistral's",
    "mistral",
    `[TOOL_CALLS][{"name": "get_weather", "arguments": ${paris.arguments}}, ` +
      `{"name":"time","arguments":{}}]`,
    { content: "", calls: [paris, time] },
  ],
  [
    "Llama 3's",
    "llama3",
    `{"name": "get_weather", "parameters": ${paris.arguments}}`,
    { content: "", calls: [paris] },
  ],
  ["Llama 3's words", "llama3", "It is { late", { content: "It is { late", calls: [] }],
]

describe("a text with tools", () => {
  it.each(texts)("%s", (_, format, text, wanted) => {
    for (let seed = 0; seed < 40; seed++) assert.deepInclude(read(format, cut(text, seed)), wanted)
    assert.deepInclude(read(format, [...text, ""]), wanted)
  })

  it("streams arguments as they come", () => {
    assert.isAbove(read("hermes", [...hermes(paris), ""]).deltas, 20)
  })

  it("counts the first of several calls where only one is wanted", () => {
    const { calls } = read("hermes", [`${hermes(paris)}\n${hermes(time)}`, ""], false)
    assert.deepStrictEqual(calls, [paris])
  })
})
