// Bytes to JSON: what is refused before any field is looked at.
import { assert, describe, it } from "vitest"
import { Effect } from "effect"
import { jsonShape, parseJson } from "../../../src/api/body.ts"

const failureOf = (bytes: Buffer | string) =>
  Effect.runSync(Effect.flip(parseJson(Buffer.from(bytes))))

describe("a body", () => {
  it("is any JSON value in UTF-8", () => {
    const texts = ['{"a":["é","\\u00e9"]}', "5", '"[[[["', "[]", '{"a":"\\"[{"}']
    for (const text of texts) {
      assert.deepStrictEqual(Effect.runSync(parseJson(Buffer.from(text))), JSON.parse(text))
    }
  })

  const broken: ReadonlyArray<readonly [string, Buffer | string, RegExp]> = [
    ["nothing", "", /empty/],
    ["half an object", '{"a":', /not valid JSON/],
    ["two values", "{} {}", /not valid JSON/],
    ["JSON with a comment", "{/*x*/}", /not valid JSON/],
    ["a lone continuation byte", Buffer.from([0x22, 0x80, 0x22]), /UTF-8/],
    ["a surrogate in UTF-8", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /UTF-8/],
    ["an overlong slash", Buffer.from([0x22, 0xc0, 0xaf, 0x22]), /UTF-8/],
    ["UTF-16", Buffer.from('{"a":1}', "utf16le"), /not valid JSON/],
    ["nested arrays", "[".repeat(65) + "]".repeat(65), /deeper than 64/],
    ["very many fields", `{${'"a":1,'.repeat(1001)}"b":1}`, /more than 1000 fields/],
    ["very many keys", `[${'{"a":1},'.repeat(100_001)}0]`, /100000 with those inside/],
    ["nested objects", '{"a":'.repeat(100_000), /deeper than 64/],
  ]
  it.each(broken)("is refused as %s", (_, bytes, sentence) => {
    const failure = failureOf(bytes)
    assert.strictEqual(failure.reason, "invalidJson")
    assert.match(failure.message, sentence)
  })

  it("is not quoted in the error", () => {
    assert.notInclude(failureOf('{"prompt": "my secret" oops').message, "secret")
  })

  it("may nest 64 deep, and brackets in strings do not count", () => {
    Effect.runSync(parseJson(Buffer.from("[".repeat(64) + "]".repeat(64))))
    assert.strictEqual(jsonShape(Buffer.from('["[[[\\"[[", {"a\\\\": [0]}]')).depth, 3)
  })
})
