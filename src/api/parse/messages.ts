// Chat messages to what a chat template takes: each content as one text. Parts other than text are
// refused by path. Only fields that templates use go on; the rest of a message is dropped.
import { Effect, Option, Predicate, Schema } from "effect"
import type { ChatMessage } from "../../tokenizer/Tokenizer.ts"
import { apiError, type ApiError } from "../errors.ts"
import { wrongValue } from "./decode.ts"

const contentExpected = "a string or an array of text parts"

export const MessageSchema = Schema.Struct({
  role: Schema.String.annotate({ expected: "a string" }),
  content: Schema.optionalKey(Schema.Unknown).annotate({ expected: contentExpected }),
  name: Schema.optionalKey(Schema.Unknown),
  tool_calls: Schema.optionalKey(Schema.Unknown),
  tool_call_id: Schema.optionalKey(Schema.Unknown),
  reasoning_content: Schema.optionalKey(Schema.Unknown),
})

type Message = typeof MessageSchema.Type

const roleCharactersMax = 64

/** Passed on to the template as they are. */
const templateFields = ["name", "tool_calls", "tool_call_id", "reasoning_content"] as const

/** Chat's name of a text part, and those of a response's input and output. */
const textTypes = new Set<unknown>(["text", "input_text", "output_text"])

const partText = (part: unknown, param: string): Effect.Effect<string, ApiError> => {
  if (typeof part === "string") return Effect.succeed(part)
  if (!Predicate.isObject(part)) {
    return Effect.fail(wrongValue(param, "a text part", part))
  }
  const { type, text, refusal } = part
  const isText = textTypes.has(type)
  if (isText && typeof text === "string") return Effect.succeed(text)
  if (type === "refusal" && typeof refusal === "string") return Effect.succeed(refusal)
  if (isText) return Effect.fail(wrongValue(`${param}.text`, "a string", text))
  if (type === "refusal") {
    return Effect.fail(wrongValue(`${param}.refusal`, "a string", refusal))
  }
  return Effect.fail(
    apiError("unsupported", `${param}: only text parts are supported by this server.`, { param }),
  )
}

/** Text parts are joined by line ends, as vLLM does for templates that take text. */
const contentText = (
  content: unknown,
  role: string,
  param: string,
): Effect.Effect<string, ApiError> => {
  if (typeof content === "string") return Effect.succeed(content)
  if (Array.isArray(content)) {
    return Effect.map(
      Effect.forEach(content, (part: unknown, index) => partText(part, `${param}[${index}]`)),
      (texts) => texts.join("\n"),
    )
  }
  // An assistant that only called tools, or refused, said nothing.
  if ((content === undefined || content === null) && role === "assistant") return Effect.succeed("")
  return Effect.fail(wrongValue(param, contentExpected, content ?? null))
}

/** OpenAI sends a call's arguments as JSON text; templates want them as they are. */
const parsedArguments = (call: unknown): unknown => {
  if (!Predicate.isObject(call) || !("function" in call)) return call
  const called = call.function
  if (!Predicate.isObject(called) || !("arguments" in called)) return call
  const { arguments: text } = called
  if (typeof text !== "string") return call
  const parsed = Option.getOrElse(decodeJson(text), (): unknown => text)
  return { ...call, function: { ...called, arguments: parsed } }
}

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

const forTemplate = (field: string, value: unknown): unknown =>
  field === "tool_calls" && Array.isArray(value) ? value.map(parsedArguments) : value

const parseMessage = Effect.fnUntraced(function* (
  message: Message,
  param: string,
): Effect.fn.Return<ChatMessage & { readonly content: string }, ApiError> {
  if (message.role.length < 1 || message.role.length > roleCharactersMax) {
    return yield* wrongValue(`${param}.role`, "the name of a role", message.role)
  }
  const content = yield* contentText(message.content, message.role, `${param}.content`)
  const extra = templateFields.filter((field) => (message[field] ?? null) !== null)
  return {
    // OpenAI's newer name for the system's voice; templates know the older one.
    role: message.role === "developer" ? "system" : message.role,
    content: content.toWellFormed(),
    ...Object.fromEntries(extra.map((field) => [field, forTemplate(field, message[field])])),
  }
})

/** `field` is the body's that holds them. */
export const parseMessages = (
  messages: ReadonlyArray<Message>,
  field = "messages",
): Effect.Effect<ReadonlyArray<ChatMessage & { readonly content: string }>, ApiError> =>
  messages.length === 0
    ? Effect.fail(wrongValue(field, "at least one message", messages))
    : Effect.forEach(messages, (message, index) => parseMessage(message, `${field}[${index}]`))
