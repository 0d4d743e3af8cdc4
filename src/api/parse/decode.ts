// A body against its Schema, and the one sentence that says what is wrong: the path of the field,
// what is allowed there and what was found. Found values are cut short: a body may be megabytes,
// and its error answer is not. A field that is null counts as absent, as OpenAI's clients expect.
import { Effect, Predicate, Schema, type SchemaIssue } from "effect"
import { apiError, type ApiError } from "../errors.ts"

const foundCharactersMax = 40

const shorten = (text: string): string =>
  text.length <= foundCharactersMax ? text : `${text.slice(0, foundCharactersMax)}…`

/** What a client sent, in a few words. */
const describe = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return `an array of ${value.length}`
  switch (typeof value) {
    case "string":
      return `the string ${JSON.stringify(shorten(value))}`
    case "object":
      return "an object"
    default:
      return shorten(String(value))
  }
}

/** "stop[2]", "stream_options.include_usage". */
const pathText = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`
    return text === "" ? shorten(String(part)) : `${text}.${shorten(String(part))}`
  }, "")

/** The 400 of a field: `param` must be `allowed`, found something else. "": the body as a whole. */
export const wrongValue = (param: string, allowed: string, found: unknown): ApiError =>
  apiError(
    "invalidValue",
    `${param || "The body"} must be ${allowed}, found ${describe(found)}.`,
    param === "" ? {} : { param },
  )

const typeNames: Readonly<Record<string, string>> = {
  String: "a string",
  Number: "a number",
  Boolean: "true or false",
  Objects: "an object",
  Arrays: "an array",
}

const expectedOf = (annotations: { readonly expected?: unknown } | undefined): string | null =>
  typeof annotations?.expected === "string" ? annotations.expected : null

/** Down the first branch of an issue to the value that is wrong. */
const firstWrong = (issue: SchemaIssue.Issue, path: ReadonlyArray<PropertyKey>): ApiError => {
  const wrong = (expected: string | null) =>
    wrongValue(pathText(path), expected ?? "another value", inputOf(issue))
  switch (issue._tag) {
    case "Pointer":
      return firstWrong(issue.issue, [...path, ...issue.path])
    case "Encoding":
      return firstWrong(issue.issue, path)
    case "Filter":
      return wrong(expectedOf(issue.filter.annotations))
    case "MissingKey":
      return apiError("missing", `${pathText(path)} is required.`, { param: pathText(path) })
    case "InvalidType":
      return wrong(expectedOf(issue.ast.annotations) ?? typeNames[issue.ast._tag] ?? null)
    case "InvalidValue":
      return wrong(expectedOf(issue.annotations))
    case "Composite":
      return firstWrong(issue.issues[0], path)
    case "AnyOf":
      return issue.issues[0] === undefined
        ? wrong(expectedOf(issue.ast.annotations))
        : firstWrong(issue.issues[0], path)
    default:
      return wrong(null)
  }
}

const inputOf = (issue: SchemaIssue.Issue): unknown => ("input" in issue ? issue.input : undefined)

const withoutNulls = (body: unknown): unknown => {
  if (!Predicate.isObject(body)) return body
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
}

export const decoder = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
): ((body: unknown) => Effect.Effect<S["Type"], ApiError>) => {
  const decode = Schema.decodeUnknownResult(schema, { reportInput: true })
  return (body) =>
    Effect.mapError(Effect.fromResult(decode(withoutNulls(body))), (error) =>
      firstWrong(error.issue, []),
    )
}
