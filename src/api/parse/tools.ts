// Tools and how they may be called: what the template is told, which format the answer is read in,
// and, where a call is required, the grammar that makes the model write one. A model whose template
// knows no tools is told of them in words.
import { Effect, Schema } from "effect"
import type { RequestTools } from "../../../schemas/types.ts"
import type { ChatMessage } from "../../tokenizer/Tokenizer.ts"
import { apiError, type ApiError } from "../errors.ts"
import type { ParseContext } from "./context.ts"
import { wrongValue } from "./decode.ts"
import { flag } from "./fields.ts"
import { type AskedGrammar, spaced } from "./grammar.ts"
import { inWords } from "./toolsInWords.ts"

const toolsMax = 128
/** Of an answer in which calls are required. */
const callsMax = 16
const nameExpected = "1 to 64 letters, digits, underscores and dashes"

const FunctionTool = Schema.Struct({
  type: Schema.Literals(["function"]).annotate({ expected: '"function"' }),
  function: Schema.Struct({
    name: Schema.String.annotate({ expected: nameExpected }).check(
      Schema.isPattern(/^[\w-]{1,64}$/, { expected: nameExpected }),
    ),
    description: Schema.optionalKey(Schema.NullOr(Schema.String)),
    parameters: Schema.optionalKey(Schema.NullOr(Schema.Record(Schema.String, Schema.Unknown))),
    strict: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  }),
})

type Tool = typeof FunctionTool.Type

const NamedChoice = Schema.Struct({
  type: Schema.Literals(["function"]),
  function: Schema.Struct({ name: Schema.String }),
})

const choiceExpected = '"none", "auto", "required" or a function\'s name in an object'

export const toolFields = {
  tools: Schema.optionalKey(
    Schema.Array(FunctionTool)
      .annotate({ expected: `an array of at most ${toolsMax} functions` })
      .check(
        Schema.isMaxLength(toolsMax, { expected: `an array of at most ${toolsMax} functions` }),
      )
      .annotate({ description: "Functions that the model may call." }),
  ),
  tool_choice: Schema.optionalKey(
    Schema.Union([Schema.Literals(["none", "auto", "required"]), NamedChoice]).annotate({
      expected: choiceExpected,
      description: "Whether one must be called, and which.",
    }),
  ),
  parallel_tool_calls: flag("Several calls in one answer (default true)."),
} as const

const ToolBody = Schema.Struct(toolFields)

export interface AskedTools {
  readonly tools: RequestTools
  readonly grammar: AskedGrammar | null
  /** null: the template is not told. */
  readonly forTemplate: ReadonlyArray<unknown> | null
  readonly tell: (messages: ReadonlyArray<ChatMessage>) => ReadonlyArray<ChatMessage>
}

const chosen = (
  body: typeof ToolBody.Type,
): Effect.Effect<ReadonlyArray<Tool> | null, ApiError> => {
  const { tools = [], tool_choice: choice = "auto" } = body
  if (choice === "required" && tools.length > 0) return Effect.succeed(tools)
  if (choice === "none" || choice === "auto") return Effect.succeed(null)
  const name = choice === "required" ? null : choice.function.name
  const named = tools.filter((tool) => tool.function.name === name)
  if (named.length > 0) return Effect.succeed(named)
  return Effect.fail(wrongValue("tool_choice", "of a function that is in tools", name))
}

const anyArguments = { type: "object" }

/** A special token is named by its id, other marks are spelt. */
const markOf = Effect.fnUntraced(function* (mark: string, { tokenizer }: ParseContext) {
  const ids = yield* tokenizer.encode(mark, false).pipe(Effect.orElseSucceed(() => []))
  const [id] = ids
  const isSpecial = ids.length === 1 && id !== undefined && tokenizer.model.specialIds.has(id)
  return isSpecial ? `<[${id}]>` : JSON.stringify(mark)
})

const callGrammar = Effect.fnUntraced(function* (
  tools: ReadonlyArray<Tool>,
  asked: { readonly format: string; readonly parallel: boolean },
  context: ParseContext,
): Effect.fn.Return<AskedGrammar, ApiError> {
  const { format, parallel } = asked
  const key = format === "llama3" ? "parameters" : "arguments"
  const schemas = tools.map(({ function: tool }) => ({
    type: "object",
    properties: { name: { const: tool.name }, [key]: tool.parameters ?? anyArguments },
    required: ["name", key],
    additionalProperties: false,
  }))
  const rules = schemas.map((schema, i) => `call${i}: %json ${JSON.stringify(spaced(schema))}`)
  const call = schemas.map((_, i) => `call${i}`).join(" | ")
  const again = (separator: string, one: string) =>
    parallel ? ` ("${separator}" ${one}){0,${callsMax - 1}}` : ""
  const start =
    format === "llama3"
      ? "call"
      : format === "mistral"
        ? `${yield* markOf("[TOOL_CALLS]", context)} "[" call${again(", ", "call")} "]"`
        : `marked${again("\\n", "marked")}`
  const marked = `marked: "<tool_call>\\n" call "\\n</tool_call>"`
  const lines = [`start: ${start}`, ...(format === "hermes" ? [marked] : []), `call: ${call}`]
  const text = [...lines, ...rules].join("\n").toWellFormed()
  return { kind: "lark", text, param: "tools", schema: tools.map((tool) => tool.function) }
})

/** null: there are none, or none may be called. */
export const parseTools = Effect.fnUntraced(function* (
  body: typeof ToolBody.Type,
  context: ParseContext,
): Effect.fn.Return<AskedTools | null, ApiError> {
  const required = yield* chosen(body)
  const { tools = [], tool_choice: choice = "auto", parallel_tool_calls: parallel = true } = body
  if (tools.length === 0 || choice === "none") return null
  const isTold = context.tokenizer.toolFormat === "own"
  const format = context.tokenizer.toolFormat === "own" ? "hermes" : context.tokenizer.toolFormat
  return {
    tools: { format, parallel, shown: JSON.stringify(tools), choice: JSON.stringify(choice) },
    grammar:
      required === null
        ? null
        : // One that is named is called once.
          yield* callGrammar(
            required,
            { format, parallel: parallel && choice === "required" },
            context,
          ),
    forTemplate: isTold ? null : tools,
    tell: (messages) => (isTold ? inWords(messages, tools) : messages),
  }
})

/** A structure leaves no room for a call beside it. */
export const checkNoFormat = (
  asked: AskedTools | null,
  grammar: AskedGrammar | null,
): Effect.Effect<void, ApiError> =>
  asked === null || grammar === null
    ? Effect.void
    : Effect.fail(
        apiError("unsupported", `${grammar.param} and tools cannot be given together.`, {
          param: grammar.param,
        }),
      )
