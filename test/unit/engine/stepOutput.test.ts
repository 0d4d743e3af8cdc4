// The packed step: the documented words (the same as in test/native/step_output_test.cc), and that
// reader and writer agree on anything.
import { assert, describe, it } from "@effect/vitest"
import {
  readStep,
  type StepEntry,
  type StepOutput,
} from "../../../src/generate/engine/stepOutput.ts"
import { makeStepWriter } from "../../../src/generate/engine/stepWriter.ts"

const bits = (value: number): number => {
  const word = new DataView(new ArrayBuffer(4))
  word.setFloat32(0, value)
  return word.getUint32(0)
}

const header = {
  step: 3 * 2 ** 32 + 7,
  batchTokens: 20,
  batchSequences: 2,
  running: 1,
  waiting: 4,
  preempted: 1,
  blocksFree: 30,
  blocks: 32,
  durationUs: 1500,
}

const first: StepEntry = {
  sequence: 11,
  finish: "stop",
  stopToken: 5,
  position: 9,
  ids: [5],
  cachedTokens: 16,
  logprobs: [
    {
      logprob: -0.5,
      top: [
        { id: 5, logprob: -0.5 },
        { id: 8, logprob: -1.5 },
      ],
    },
  ],
  promptLogprobs: [{ logprob: -2, top: [] }],
}

const second: StepEntry = {
  sequence: 12,
  finish: "cancelled",
  stopToken: null,
  position: 2,
  ids: [],
  cachedTokens: 0,
  logprobs: null,
  promptLogprobs: null,
}

const words: ReadonlyArray<number> = [
  ...[1, 7, 3, 2, 20, 2, 1, 4, 1, 30, 32, 1500],
  ...[11, 1, 6, 9, 1, 16, 3],
  5,
  ...[bits(-0.5), 2, 5, bits(-0.5), 8, bits(-1.5)],
  ...[1, bits(-2), 0],
  ...[12, 3, 0, 2, 0, 0, 0],
]

const pack = (entries: ReadonlyArray<StepEntry>): Uint32Array => {
  const writer = makeStepWriter()
  for (const entry of entries) writer.entry(entry)
  return writer.finish(header)
}

describe("a packed step", () => {
  it("is read from its documented words", () => {
    const expected: StepOutput = { ...header, entries: [first, second] }
    assert.deepStrictEqual(readStep(Uint32Array.from(words)), expected)
  })

  it("is written as its documented words", () => {
    assert.deepStrictEqual([...pack([first, second])], [...words])
  })

  it("may be of any size, and a writer starts afresh after each", () => {
    const writer = makeStepWriter()
    for (const count of [0, 1, 900, 3]) {
      const entries = Array.from({ length: count }, (_, i) => ({ ...first, sequence: i }))
      for (const entry of entries) writer.entry(entry)
      assert.strictEqual(writer.entries(), count)
      assert.deepStrictEqual(readStep(writer.finish(header)).entries, entries)
    }
  })

  it("of another version, or cut short, is refused", () => {
    const packed = pack([first, second])
    for (let length = 0; length < packed.length; length++) {
      assert.throws(() => readStep(packed.slice(0, length)), "step output ends early")
    }
    const other = Uint32Array.from(words)
    other[0] = 2
    assert.throws(() => readStep(other), "step layout 2")
  })
})
