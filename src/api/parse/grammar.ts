// What the text must match: OpenAI's response_format, and structured_outputs or guided_* as vLLM
// takes them, to one grammar. The library says whether it can be followed; where it cannot, the
// answer names the keyword and its path in the schema.
import { Effect, Predicate, Schema } from "effect"
import type { RequestGrammar } from "../../../schemas/types.ts"
import { apiError, type ApiError } from "../errors.ts"
import type { ParseContext } from "./context.ts"
import { wrongValue } from "./decode.ts"
import { faultPath } from "./schemaFault.ts"

/** Of a grammar's text; it travels in the request's record. */
const grammarCharactersMax = 256 * 1024
const choicesMax = 1024

/** A grammar and the body's field it came from. */
export interface AskedGrammar extends RequestGrammar {
  readonly param: string
  /** Of the kind json_schema. */
  readonly schema: unknown
}

const anything = Schema.optionalKey(Schema.Unknown)

export const grammarFields = {
  response_format: anything.annotate({
    description: "text, json_object, or json_schema with json_schema.schema.",
  }),
  structured_outputs: anything.annotate({
    description: "One of json, json_object, regex, choice and grammar, as vLLM takes them.",
  }),
  guided_json: anything.annotate({ description: "As structured_outputs.json." }),
  guided_regex: anything.annotate({ description: "As structured_outputs.regex." }),
  guided_choice: anything.annotate({ description: "As structured_outputs.choice." }),
  guided_grammar: anything.annotate({ description: "As structured_outputs.grammar." }),
} as const

type GrammarBody = { readonly [Field in keyof typeof grammarFields]?: unknown }

type Asked = Effect.Effect<AskedGrammar | null, ApiError>

/** As Python's json.dumps spaces it: what models have seen most of. */
const spacing = { whitespace_flexible: false, item_separator: ", ", key_separator: ": " }

export const spaced = (schema: object): object =>
  "x-guidance" in schema ? schema : { ...schema, "x-guidance": spacing }

const ofSchema = (schema: unknown, param: string): Asked => {
  if (!Predicate.isObject(schema) && typeof schema !== "boolean") {
    return Effect.fail(wrongValue(param, "a JSON schema", schema ?? null))
  }
  // true allows anything, and an object is what a structure is asked for.
  const asObject = typeof schema === "boolean" ? (schema ? {} : { not: {} }) : schema
  const text = JSON.stringify(spaced(asObject)).toWellFormed()
  return Effect.succeed({ kind: "json_schema", text, param, schema })
}

/** vLLM's clients send a schema as text too. */
const ofSchemaOrText = (schema: unknown, param: string): Asked => {
  if (typeof schema !== "string") return ofSchema(schema, param)
  return Effect.try({
    try: (): unknown => JSON.parse(schema),
    catch: () => wrongValue(param, "a JSON schema", schema),
  }).pipe(Effect.flatMap((parsed) => ofSchema(parsed, param)))
}

const ofText = (kind: "regex" | "lark", text: unknown, param: string): Asked =>
  typeof text === "string" && text.length > 0
    ? Effect.succeed({ kind, text: text.toWellFormed(), param, schema: null })
    : Effect.fail(wrongValue(param, "a string", text))

const choicesExpected = `an array of 1 to ${choicesMax} strings`

const ofChoice = (choices: unknown, param: string): Asked => {
  if (!Array.isArray(choices) || choices.length < 1 || choices.length > choicesMax) {
    return Effect.fail(wrongValue(param, choicesExpected, choices))
  }
  const wrong = choices.findIndex((one) => typeof one !== "string" || one === "")
  if (wrong >= 0) {
    return Effect.fail(wrongValue(`${param}[${wrong}]`, "a string", choices[wrong]))
  }
  const alternatives = choices.map((one) => JSON.stringify(String(one).toWellFormed()))
  const text = `start: ${alternatives.join(" | ")}`
  return Effect.succeed({ kind: "lark", text, param, schema: null })
}

const anyObject = { type: "object" }

const formats = '"text", "json_object" or "json_schema"'

/** OpenAI's object: of chat in response_format, of responses in text.format, which is flat. */
export const ofFormat = (format: unknown, param: string): Asked => {
  if (format === undefined || format === null) return Effect.succeed(null)
  const type = Predicate.isObject(format) && "type" in format ? format.type : undefined
  if (!Predicate.isObject(format)) return Effect.fail(wrongValue(param, "an object", format))
  if (type === "text") return Effect.succeed(null)
  if (type === "json_object") return ofSchema(anyObject, param)
  if (type !== "json_schema") return Effect.fail(wrongValue(`${param}.type`, formats, type))
  if ("schema" in format) return ofSchema(format.schema, `${param}.schema`)
  const named = "json_schema" in format ? format.json_schema : undefined
  if (!Predicate.isObject(named)) {
    return Effect.fail(wrongValue(`${param}.json_schema`, "an object", named ?? null))
  }
  const schema = "schema" in named ? named.schema : undefined
  return ofSchema(schema, `${param}.json_schema.schema`)
}

const forms: Readonly<Record<string, (value: unknown, param: string) => Asked>> = {
  json: ofSchemaOrText,
  json_object: (value, param) =>
    value === true ? ofSchema(anyObject, param) : Effect.succeed(null),
  regex: (value, param) => ofText("regex", value, param),
  choice: ofChoice,
  grammar: (value, param) => ofText("lark", value, param),
}

/** What vLLM has besides, which changes nothing of what is allowed here. */
const hints = new Set(["disable_fallback", "disable_any_whitespace", "whitespace_pattern"])

const ofStructured = Effect.fnUntraced(function* (
  structured: unknown,
): Effect.fn.Return<ReadonlyArray<AskedGrammar>, ApiError> {
  if (structured === undefined || structured === null) return []
  if (!Predicate.isObject(structured)) {
    return yield* wrongValue("structured_outputs", "an object", structured)
  }
  const found: Array<AskedGrammar> = []
  for (const [name, value] of Object.entries(structured)) {
    const param = `structured_outputs.${name}`
    const form = Object.hasOwn(forms, name) ? forms[name] : undefined
    if (value === null || hints.has(name)) continue
    if (form === undefined) {
      const message = `${param} is not supported by this server.`
      return yield* apiError("unsupported", message, { param })
    }
    const asked = yield* form(value, param)
    if (asked !== null) found.push(asked)
  }
  return found
})

/** The one grammar that a body asks for, not yet checked; null where it asks for none. */
export const askedGrammar = Effect.fnUntraced(function* (
  body: GrammarBody,
): Effect.fn.Return<AskedGrammar | null, ApiError> {
  const found = [...(yield* ofStructured(body.structured_outputs))]
  const format = yield* ofFormat(body.response_format, "response_format")
  if (format !== null) found.push(format)
  for (const name of ["json", "regex", "choice", "grammar"] as const) {
    const value = body[`guided_${name}`]
    const asked = value === undefined ? null : yield* forms[name]!(value, `guided_${name}`)
    if (asked !== null) found.push(asked)
  }
  const [first, second] = found
  if (first === undefined) return null
  if (second === undefined) return first
  const message = `Only one of ${first.param} and ${second.param} can be given.`
  return yield* apiError("invalidValue", message, { param: second.param })
})

/** Refused where the library cannot follow it. */
export const checkGrammar = Effect.fnUntraced(function* (
  asked: AskedGrammar,
  context: ParseContext,
): Effect.fn.Return<RequestGrammar, ApiError> {
  const { kind, text, param, schema } = asked
  if (text.length > grammarCharactersMax) {
    const message = `${param} must have at most ${grammarCharactersMax} characters.`
    const numbers = { characters: text.length, charactersMax: grammarCharactersMax }
    return yield* apiError("invalidValue", message, { param, numbers })
  }
  yield* context.grammars.check({ kind, text }).pipe(
    Effect.mapError((error) => {
      if (error.reason === "notBuilt") return apiError("notBuilt", error.message, { param })
      const path = faultPath(schema, error.message)
      const where = path === null ? param : `${param}.${path}`
      return apiError("invalidValue", `${where}: ${error.message}`, { param: where })
    }),
  )
  return { kind, text }
})
