// Tells whether bytes are a whole value of an Avro schema, without building it. avsc trusts counts
// and lengths, and would loop or allocate as they say: nothing from outside reaches it unchecked.
import { Predicate } from "effect"
import type { ByteReader } from "./bytes.ts"

type Walk = (input: ByteReader) => void

const primitives: Readonly<Record<string, Walk>> = {
  null: () => undefined,
  boolean: (input) => input.boolean(),
  int: (input) => input.int(),
  long: (input) => input.long(),
  float: (input) => input.skip(4),
  double: (input) => input.skip(8),
  bytes: (input) => input.skipBytes(),
  string: (input) => input.skipBytes(),
}

const text = (value: unknown): string => (Predicate.isString(value) ? value : "")
const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const walkArray =
  (item: Walk): Walk =>
  (input) => {
    for (let count = input.block(); count > 0; count = input.block()) {
      for (let i = 0; i < count && !input.damaged; i++) item(input)
    }
  }

const walkUnion =
  (branches: ReadonlyArray<Walk>): Walk =>
  (input) => {
    const branch = branches[input.int()]
    if (branch === undefined) input.damage()
    else branch(input)
  }

/** Named types are found again by name, as `sluice.Name` or `Name`. */
const compile = (schema: unknown, named: Map<string, Walk>): Walk => {
  if (Predicate.isString(schema)) {
    const walk = primitives[schema] ?? named.get(schema.replace("sluice.", ""))
    if (walk === undefined) throw new Error(`the schema names an unknown type ${schema}`)
    return walk
  }
  if (Array.isArray(schema)) return walkUnion(schema.map((branch) => compile(branch, named)))
  if (!Predicate.isObject(schema)) throw new Error("a schema is a name, a list or an object")
  const fields: Readonly<Record<string, unknown>> = { ...schema }
  switch (fields["type"]) {
    case "array":
      return walkArray(compile(fields["items"], named))
    case "enum": {
      const symbols = list(fields["symbols"]).length
      const walk: Walk = (input) => {
        const symbol = input.int()
        if (symbol < 0 || symbol >= symbols) input.damage()
      }
      named.set(text(fields["name"]), walk)
      return walk
    }
    case "record": {
      const walks = list(fields["fields"]).map((field) =>
        compile(Predicate.isObject(field) && "type" in field ? field.type : null, named),
      )
      const walk: Walk = (input) => {
        for (const one of walks) one(input)
      }
      named.set(text(fields["name"]), walk)
      return walk
    }
    default:
      return compile(fields["type"], named)
  }
}

/** Reads a value of the schema and throws it away; `input.damaged` tells. */
export const compileCheck = (avro: string): Walk => compile(JSON.parse(avro), new Map())
