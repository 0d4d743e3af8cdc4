// Tools for a model whose chat template knows none: a system message says what there is and how to
// call it, and the calls and results of earlier turns become text in the same form.
import { Predicate } from "effect"
import type { ChatMessage } from "../../tokenizer/Tokenizer.ts"

const instructions = (tools: ReadonlyArray<unknown>): string =>
  [
    "You may call one or more functions to assist with the user query.",
    "You are provided with function signatures within <tools></tools> tags:",
    "<tools>",
    ...tools.map((tool) => JSON.stringify(tool)),
    "</tools>",
    "For each function call, return a JSON object within <tool_call></tool_call> tags:",
    "<tool_call>",
    '{"name": "<the function>", "arguments": {"<its argument>": "<a value>"}}',
    "</tool_call>",
  ].join("\n")

const callText = (call: unknown): string => {
  const called = Predicate.isObject(call) && "function" in call ? call.function : {}
  return `<tool_call>\n${JSON.stringify(called)}\n</tool_call>`
}

const asText = (message: ChatMessage): ChatMessage => {
  const { role, content } = message
  if (role === "tool") {
    return { role: "user", content: `<tool_response>\n${content ?? ""}\n</tool_response>` }
  }
  const calls = message["tool_calls"]
  if (!Array.isArray(calls)) return message
  return { role, content: [content ?? "", ...calls.map(callText)].filter(Boolean).join("\n") }
}

export const inWords = (
  messages: ReadonlyArray<ChatMessage>,
  tools: ReadonlyArray<unknown>,
): ReadonlyArray<ChatMessage> => {
  const [first, ...rest] = messages.map(asText)
  const words = instructions(tools)
  if (first === undefined) return []
  return first.role === "system"
    ? [{ role: "system", content: `${first.content ?? ""}\n\n${words}` }, ...rest]
    : [{ role: "system", content: words }, first, ...rest]
}
