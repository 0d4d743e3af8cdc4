// The reader of answers: the conformance cases of server-sent events, cut anywhere, and answers of
// servers that say less, more or other than they should.
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Answer, type Piece } from "../../../src/replay/send/Answer.ts"
import { eventCharactersMax, SseReader } from "../../../src/replay/send/sse.ts"
import { hasShared, sharedPath } from "../../support/shared.ts"

interface Case {
  readonly name: string
  readonly chunks_b64: ReadonlyArray<string>
  readonly events: ReadonlyArray<{ readonly type: string; readonly data: string }>
}

const read = (chunks: ReadonlyArray<Buffer>) => {
  const events: Array<readonly [name: string, data: string]> = []
  const reader = new SseReader((data, name) => events.push([name || "message", data]))
  chunks.forEach((chunk) => reader.feed(chunk))
  return events
}

describe("server-sent events", () => {
  it.runIf(hasShared("hostile/sse"))("the conformance cases (needs shared/hostile)", () => {
    const path = sharedPath("hostile", "sse", "sse-cases.json")
    const cases: ReadonlyArray<Case> = JSON.parse(readFileSync(path, "utf8"))
    assert.isAbove(cases.length, 50)
    for (const { name, chunks_b64: chunks, events } of cases) {
      const bytes = chunks.map((chunk) => Buffer.from(chunk, "base64"))
      const expected = events.map(({ type, data }) => [type, data] as const)
      assert.deepStrictEqual(read(bytes), expected, name)
      const single = [...Buffer.concat(bytes)].map((byte) => Buffer.from([byte]))
      assert.deepStrictEqual(read(single), expected, `${name}, byte by byte`)
    }
  })

  it("line ends of every kind, cut between CR and LF", () => {
    const bytes = [
      Buffer.from("data: a\r"),
      Buffer.from("\n\r"),
      Buffer.from("\ndata: b\r\rdata:c\n\n"),
    ]
    assert.deepStrictEqual(read(bytes), [
      ["message", "a"],
      ["message", "b"],
      ["message", "c"],
    ])
  })

  it("an event without end is not kept", () => {
    const reader = new SseReader(() => {})
    const bytes = Buffer.alloc(1024 * 1024, "x")
    for (let fed = 0; fed <= eventCharactersMax; fed += bytes.length) reader.feed(bytes)
    assert.isTrue(reader.oversized)
  })
})

const answerOf = (text: string, stream = true) => {
  const pieces: Array<Piece> = []
  let contents = 0
  const answer = new Answer(stream, {
    onContent: () => contents++,
    onPiece: (piece) => pieces.push(piece),
  })
  answer.feed(Buffer.from(text))
  answer.end()
  const { failure, promptTokens, outputTokens } = answer
  return { failure, promptTokens, outputTokens, contents, pieces }
}

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`

const done = "data: [DONE]\n\n"

describe("an answer", () => {
  it("of a chat counts what has content: text, thoughts and calls", () => {
    const delta = (value: unknown) => event({ choices: [{ index: 0, delta: value }] })
    const usage = event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 4 } })
    const text =
      delta({ role: "assistant", content: "" }) +
      delta({ reasoning_content: "hm" }) +
      delta({ content: "Hi" }) +
      delta({ tool_calls: [{ function: { arguments: "{" } }] }) +
      usage +
      done
    const answer = answerOf(text)
    assert.deepInclude(answer, { failure: null, promptTokens: 9, outputTokens: 4, contents: 3 })
  })

  it("takes ids for the number of tokens where usage is missing, else its pieces", () => {
    const ids = event({ choices: [{ index: 1, text: "ab", token_ids: [5, 6] }] })
    const answer = answerOf(ids + done)
    assert.strictEqual(answer.outputTokens, 2)
    assert.deepStrictEqual(answer.pieces, [{ choice: 1, text: "ab", ids: [5, 6] }])
    assert.strictEqual(answerOf(event({ choices: [{ text: "ab" }] }) + done).outputTokens, 1)
  })

  it("that ends without its end was closed early, unless its choice has ended", () => {
    const piece = event({ choices: [{ text: "a" }] })
    assert.strictEqual(answerOf(piece).failure, "closedEarly")
    assert.strictEqual(answerOf("").failure, "closedEarly")
    assert.isNull(answerOf(event({ choices: [{ text: "a", finish_reason: "stop" }] })).failure)
  })

  it("that is none is malformed; an error inside of it is an error", () => {
    const kinds: ReadonlyArray<readonly [text: string, failure: string]> = [
      ["data: {\n\n", "malformed"],
      ["data: 5\n\n", "malformed"],
      ["data: []\n\n", "malformed"],
      [event({ choices: {} }), "malformed"],
      [event({ error: { message: "no" } }), "errorEvent"],
      [`event: error\n${event({ message: "no" })}`, "errorEvent"],
    ]
    for (const [text, failure] of kinds) assert.strictEqual(answerOf(text).failure, failure, text)
  })

  it("as a whole body", () => {
    const usage = { prompt_tokens: 3, completion_tokens: 2 }
    const body = JSON.stringify({ choices: [{ message: { content: "Hi" } }], usage })
    const answer = answerOf(body, false)
    assert.deepInclude(answer, { failure: null, outputTokens: 2, contents: 1 })
    assert.strictEqual(answerOf("<html>", false).failure, "malformed")
  })
})
