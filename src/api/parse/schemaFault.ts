// Where in a JSON schema the keyword stands that the grammar library's sentence names: the library
// says what it cannot follow, but not where. The first place in the schema's own order.
import { Predicate } from "effect"

/** Their values are data, not schemas. */
const dataKeywords = new Set(["enum", "const", "default", "examples", "example"])
/** Their keys are names of the caller's. */
const namedSchemas = new Set(["properties", "patternProperties", "$defs", "definitions"])

const depthMax = 100

const find = (
  schema: unknown,
  isNamed: (keyword: string, value: unknown) => boolean,
  path: ReadonlyArray<string>,
): ReadonlyArray<string> | null => {
  if (path.length > depthMax || !Predicate.isObject(schema)) return null
  for (const [key, value] of Object.entries(schema)) {
    const here = [...path, key]
    if (isNamed(key, value)) return here
    if (dataKeywords.has(key) || !Predicate.isObjectOrArray(value)) continue
    const inner =
      namedSchemas.has(key) || Array.isArray(value)
        ? Object.entries(value).flatMap(([name, one]) => find(one, isNamed, [...here, name]) ?? [])
        : find(value, isNamed, here)
    if (inner !== null && inner.length > 0) return inner
  }
  return null
}

/** Words that a sentence has in quotes, or after the name of what it could not do. */
const wordsOf = (message: string): ReadonlySet<string> =>
  new Set(
    [...message.matchAll(/["'`]([^"'`\s]{1,64})["'`]|\b([a-z]+[A-Z]\w*|\$\w+)\b/g)].map(
      ([, quoted, plain]) => quoted ?? plain ?? "",
    ),
  )

/** "properties.name.uniqueItems"; null where the sentence names nothing that the schema has. */
export const faultPath = (schema: unknown, message: string): string | null => {
  const words = wordsOf(message)
  const plain = new Set(message.split(/[^\w$]+/))
  const named = find(schema, (keyword) => words.has(keyword), [])
  // A type, format or pattern is named by its value.
  const valued = () =>
    find(
      schema,
      (_, value) => typeof value === "string" && (words.has(value) || plain.has(value)),
      [],
    )
  const mentioned = () => find(schema, (keyword) => plain.has(keyword), [])
  const path = named ?? valued() ?? mentioned()
  return path === null ? null : path.join(".")
}
