// What a grammar promises of the native engine: outputs that validate, the same ids however they
// came about (alone, in a crowd, preempted, adopted at any token), and an end when it is whole.
import { describe, expect, it } from "vitest"
import type { EngineSequence } from "../../src/generate/engine/Engine.ts"
import { needsGrammars } from "../support/grammar.ts"
import { makeSequence } from "../support/engineSequence.ts"
import {
  jsonGrammar,
  type StructuredRig,
  trySchemas,
  withStructured,
} from "../support/structured.ts"
import { talesOptions } from "../support/talesEngine.ts"

const person = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 8, maxLength: 40 },
    age: { type: "integer", minimum: 0, maximum: 120 },
    tags: { type: "array", items: { enum: ["red", "green"] }, minItems: 2, maxItems: 4 },
    note: { type: "string", minLength: 20, maxLength: 60 },
  },
  required: ["name", "age", "tags", "note"],
  additionalProperties: false,
}

const asked = (handle: number, changes: Partial<EngineSequence> = {}): EngineSequence =>
  makeSequence(handle, {
    grammar: jsonGrammar(person),
    ...changes,
    sampling: { temperature: 1, seed: 11, maxTokens: 300, ignoreEos: false, ...changes.sampling },
  })

const idsOf = async ({ run }: StructuredRig, sequence: EngineSequence) => (await run(sequence)).ids

describe("structured output of the native engine", needsGrammars, () => {
  it("validates against random schemas at temperature 1", { timeout: 120_000 }, () =>
    withStructured(talesOptions, async (rig) => {
      const trials = await trySchemas(rig, { from: 1, count: 150, atOnce: 16 })
      expect(trials.filter(({ isValid }) => isValid === false)).toEqual([])
      expect(trials.filter(({ isValid }) => isValid === true).length).toBeGreaterThan(140)
    }),
  )

  it("goes on in the middle of an object, at every third token", { timeout: 120_000 }, () =>
    withStructured(talesOptions, async (rig) => {
      const whole = await idsOf(rig, asked(1))
      expect(whole.length).toBeGreaterThan(40)
      for (let cut = 1; cut < whole.length; cut += 3) {
        const generatedIds = whole.slice(0, cut)
        const rest = await idsOf(rig, asked(1 + cut, { generatedIds }))
        expect([...generatedIds, ...rest], `cut at ${cut}`).toEqual(whole)
      }
    }),
  )

  it("gives the same ids with logprobs, where each token takes a step", () =>
    withStructured(talesOptions, async (rig) => {
      const plain = await rig.run(asked(1))
      const scored = await rig.run(asked(2, { sampling: { ...asked(2).sampling, logprobs: 0 } }))
      expect(scored.ids).toEqual(plain.ids)
      expect(scored.logprobs.length).toBe(scored.ids.length)
    }))

  it("gives the same ids in a crowd that preempts", { timeout: 120_000 }, () =>
    withStructured(talesOptions, async (rig) => {
      const seeds = Array.from({ length: 12 }, (_, i) => i)
      const make = (i: number) => asked(i + 1, { sampling: { ...asked(1).sampling, seed: i } })
      const alone: Array<ReadonlyArray<number>> = []
      for (const i of seeds) alone.push(await idsOf(rig, make(i)))
      const crowded = await withStructured(
        { ...talesOptions, kvBytes: 2 ** 20 * 4, prefixCache: false },
        async (tight) => {
          const all = await Promise.all(seeds.map((i) => idsOf(tight, make(i))))
          expect(tight.engine.stats().preemptions).toBeGreaterThan(0)
          return all
        },
      )
      expect(crowded).toEqual(alone)
    }),
  )

  it("ends at its length inside of a structure", () =>
    withStructured(talesOptions, async (rig) => {
      const short = asked(1, { sampling: { ...asked(1).sampling, maxTokens: 9 } })
      const { ids, finish } = await rig.run(short)
      expect({ tokens: ids.length, finish }).toEqual({ tokens: 9, finish: "length" })
    }))

  it("ends a sequence whose grammar cannot be compiled as unmatched", () =>
    withStructured(talesOptions, async (rig) => {
      const grammar = { kind: "regex", text: "[0-9" }
      expect((await rig.run(asked(1, { grammar }))).finish).toBe("unmatched")
    }))

  it("holds to a choice, an expression and a grammar", () =>
    withStructured(talesOptions, async (rig) => {
      const textOf = async (kind: string, text: string, handle: number) =>
        rig.tokenizer.decode(await idsOf(rig, asked(handle, { grammar: { kind, text } })), true)
      expect(await textOf("regex", "[0-9]{3}-[a-f]{4}", 1)).toMatch(/^[0-9]{3}-[a-f]{4}$/)
      expect(await textOf("lark", 'start: "yes" | "no"', 2)).toMatch(/^(yes|no)$/)
      expect(await textOf("lark", 'start: A+ "."\nA: /[ab]{2}/', 3)).toMatch(
        /^([ab]{2})+\.$|^[ab]+$/,
      )
    }))
})
