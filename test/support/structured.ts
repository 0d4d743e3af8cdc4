// Structured output through the native engine, without the way in and out: a schema and a seed to
// the ids that the model writes under it, and to their text.
import { Effect } from "effect"
import { Ajv2020 } from "ajv/dist/2020.js"
import type { Engine, EngineSequence } from "../../src/generate/engine/Engine.ts"
import { grammarTokens } from "../../src/generate/engine/grammars.ts"
import { type NativeEngineOptions, openNative } from "../../src/generate/engine/NativeEngine.ts"
import { makeTokenizer } from "../../src/tokenizer/layer.ts"
import type { Tokenizer } from "../../src/tokenizer/Tokenizer.ts"
import { collectOutputs } from "./engineOutputs.ts"
import { makeSequence } from "./engineSequence.ts"
import type { RunSequence } from "./nativeEngine.ts"
import { randomSchema } from "./randomSchema.ts"
import { makeRandom } from "./tokenizer.ts"

export interface StructuredRig {
  readonly run: RunSequence
  readonly engine: Engine["Service"]
  readonly tokenizer: Tokenizer["Service"]
}

/** An engine that takes grammars, with its model's tokenizer, for the length of the body. */
export const withStructured = <A>(
  options: NativeEngineOptions,
  body: (rig: StructuredRig) => Promise<A>,
): Promise<A> =>
  Effect.gen(function* () {
    const tokenizer = yield* makeTokenizer(options.folder)
    const { eosIds } = tokenizer.model
    const engine = yield* openNative({
      ...options,
      device: "cpu",
      eosIds,
      grammarTokens: grammarTokens(tokenizer.model),
    })
    return yield* Effect.promise(() => body({ run: collectOutputs(engine), engine, tokenizer }))
  }).pipe(Effect.scoped, Effect.runPromise)

export const jsonGrammar = (schema: unknown): EngineSequence["grammar"] => ({
  kind: "json_schema",
  text: JSON.stringify({ ...Object(schema), "x-guidance": { whitespace_flexible: false } }),
})

/** Formats are held by the grammar; ajv is asked for all the rest. */
const ajv = new Ajv2020({ strict: false, validateFormats: false })

const openings = ["Once upon a time", "The answer is", "{", "Der Hund ", "1 2 3", "\n\n"]

export interface Trial {
  readonly seed: number
  /** null: it ended at its length, inside of the structure. */
  readonly isValid: boolean | null
  readonly text: string
}

/** One random schema and prompt at temperature 1; both follow from the seed. */
export const trySchema = async (rig: StructuredRig, seed: number): Promise<Trial> => {
  const random = makeRandom(seed)
  const schema = randomSchema(random, 2)
  const prompt = openings[random(openings.length)] ?? ""
  const promptIds = await Effect.runPromise(rig.tokenizer.encode(prompt, true))
  const { ids, finish } = await rig.run(
    makeSequence(seed, {
      promptIds,
      grammar: jsonGrammar(schema),
      sampling: { temperature: 1, seed, maxTokens: 400, ignoreEos: false },
    }),
  )
  const text = rig.tokenizer.decode(ids, true)
  if (finish === "length") return { seed, isValid: null, text }
  const value = (): unknown => JSON.parse(text)
  return { seed, isValid: finish === "stop" && ajv.validate(schema, value()), text }
}

/** So many trials, some at a time. */
export const trySchemas = async (
  rig: StructuredRig,
  seeds: { readonly from: number; readonly count: number; readonly atOnce: number },
): Promise<ReadonlyArray<Trial>> => {
  const trials: Array<Trial> = []
  let next = seeds.from
  const work = async () => {
    while (next < seeds.from + seeds.count) trials.push(await trySchema(rig, next++))
  }
  await Promise.all(Array.from({ length: seeds.atOnce }, work))
  return trials
}
