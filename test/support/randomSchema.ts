// Random JSON schemas whose values are short: what the tests of structured output ask for. Every
// string and array is bounded, so that a value ends within a few hundred tokens.
import type { makeRandom } from "./tokenizer.ts"

type Random = ReturnType<typeof makeRandom>

const names = ["name", "age", "ß", "kind_of", "a b", "x", "list", "1st"]

const oneOf = <A>(random: Random, values: ReadonlyArray<A>): A => values[random(values.length)]!

const stringSchema = (random: Random): object =>
  oneOf(random, [
    { type: "string", maxLength: 1 + random(12) },
    { type: "string", enum: ["red", "green", 'a "quoted" one'] },
    { type: "string", pattern: "^[A-Z][a-z]{1,6}$" },
    { type: "string", format: "date" },
    { const: "fixed text" },
    { type: "string", format: "uuid" },
  ])

const scalarSchema = (random: Random): object => {
  const low = random(50) - 25
  return oneOf(random, [
    { type: "integer", minimum: low, maximum: low + random(1000) },
    { type: "integer", minimum: 0, exclusiveMaximum: 7 },
    { type: "boolean" },
    { type: "null" },
    { enum: [1, "two", null, true] },
  ])
}

const objectSchema = (random: Random, depth: number): object => {
  const first = random(names.length)
  const chosen = Array.from(
    { length: 1 + random(3) },
    (_, i) => names[(first + i) % names.length] ?? "",
  )
  const properties = Object.fromEntries(
    chosen.map((name) => [name, randomSchema(random, depth - 1)]),
  )
  const required = chosen.filter(() => random(10) < 7)
  return { type: "object", properties, required, additionalProperties: false }
}

export const randomSchema = (random: Random, depth: number): object => {
  const kind = depth === 0 ? random(2) : random(5)
  if (kind === 0) return stringSchema(random)
  if (kind === 1) return scalarSchema(random)
  if (kind === 2) {
    const items = randomSchema(random, depth - 1)
    return { type: "array", items, minItems: random(2), maxItems: 2 + random(2) }
  }
  if (kind === 3) {
    return { anyOf: [randomSchema(random, depth - 1), randomSchema(random, depth - 1)] }
  }
  return objectSchema(random, depth)
}
