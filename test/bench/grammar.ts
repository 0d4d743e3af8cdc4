// What a schema costs: the bundled model's tokens a second with and without one, alone and 16 at
// once, in one run and in turns; what one mask takes; the first use of a large schema; and how many
// outputs under random schemas at temperature 1 validate. Without the grammar library it says so.
import { Effect } from "effect"
import { makeRandom } from "../support/tokenizer.ts"
import { makeSequence } from "../support/engineSequence.ts"
import {
  jsonGrammar,
  type StructuredRig,
  trySchemas,
  withStructured,
} from "../support/structured.ts"
import { talesOptions } from "../support/talesEngine.ts"
import { grammarTokens, openGrammars } from "../../src/generate/engine/grammars.ts"
import type { BenchOptions, BenchResult } from "./main.ts"

/** Strings: little of it is forced, so that almost each token takes a step and a mask. */
const texts = {
  type: "array",
  items: { type: "string", minLength: 30, maxLength: 60 },
  minItems: 40,
  maxItems: 60,
}

const tokens = 200

let handle = 0

const tokensPerSecond = async (rig: StructuredRig, atOnce: number, isHeld: boolean) => {
  const started = performance.now()
  const all = await Promise.all(
    Array.from({ length: atOnce }, (_, seed) =>
      rig.run(
        makeSequence(1_000_000 + handle++, {
          grammar: isHeld ? jsonGrammar(texts) : null,
          sampling: { temperature: 1, seed, maxTokens: tokens, ignoreEos: !isHeld },
        }),
      ),
    ),
  )
  const drawn = all.reduce((sum, { ids }) => sum + ids.length, 0)
  return (drawn * 1000) / (performance.now() - started)
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** In turns, so that what else the machine does falls on both. */
const compare = async (rig: StructuredRig, atOnce: number, rounds: number) => {
  const free: Array<number> = []
  const held: Array<number> = []
  const ratios: Array<number> = []
  for (let round = 0; round <= rounds; round++) {
    const without = await tokensPerSecond(rig, atOnce, false)
    const under = await tokensPerSecond(rig, atOnce, true)
    // The first is for warming up.
    if (round > 0) {
      free.push(without)
      held.push(under)
      ratios.push(under / without)
    }
  }
  return { free: median(free), held: median(held), ratio: median(ratios) }
}

const largeSchema = (properties: number) => {
  const random = makeRandom(1)
  const entries = Array.from({ length: properties }, (_, i) => [
    `property_${i}`,
    random(2) === 0 ? { type: "string", maxLength: 40 } : { type: "integer" },
  ])
  const inner = Object.fromEntries(entries)
  return { type: "object", properties: inner, required: Object.keys(inner) }
}

const firstUseMs = async (rig: StructuredRig): Promise<number> => {
  const { check } = openGrammars(grammarTokens(rig.tokenizer.model))
  const started = performance.now()
  await Effect.runPromise(check(jsonGrammar(largeSchema(300)) ?? { kind: "", text: "" }))
  return performance.now() - started
}

export const run = ({ small }: BenchOptions): Promise<BenchResult> =>
  withStructured(talesOptions, async (rig) => {
    const rounds = small ? 1 : 15
    const alone = await compare(rig, 1, rounds)
    const crowd = await compare(rig, 16, rounds)
    const masks = rig.engine.stats()
    const first = await firstUseMs(rig)
    const trials = await trySchemas(rig, { from: 1, count: small ? 20 : 2000, atOnce: 16 })
    return {
      "tokens/s alone, free": alone.free,
      "tokens/s alone, held": alone.held,
      "held over free, alone": alone.ratio,
      "tokens/s of 16, free": crowd.free,
      "tokens/s of 16, held": crowd.held,
      "held over free, 16": crowd.ratio,
      "mask, us, p50": masks.maskUsP50,
      "mask, us, p99": masks.maskUsP99,
      "first use of 300 properties, ms": first,
      "random schemas: valid": trials.filter(({ isValid }) => isValid === true).length,
      "random schemas: cut at their length": trials.filter(({ isValid }) => isValid === null)
        .length,
      "random schemas: not valid": trials.filter(({ isValid }) => isValid === false).length,
    }
  })
