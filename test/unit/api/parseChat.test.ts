// The chat body and the WebSocket's message: what differs from completions.
import { assert, describe, it } from "vitest"
import { parseChat } from "../../../src/api/parse/chat.ts"
import { parseStream } from "../../../src/api/parse/stream.ts"
import { contextTokensMax } from "../../support/api/ApiServer.ts"
import { parsed, refused } from "../../support/api/parsing.ts"

const user = { role: "user", content: "hi" }
const draft = (body: Readonly<Record<string, unknown>>) =>
  parsed(parseChat, { messages: [user], ...body })
const text = (body: Readonly<Record<string, unknown>>) =>
  Buffer.from(draft(body).prompts[0] ?? []).toString()

describe("a chat's draft", () => {
  const rendered: ReadonlyArray<readonly [Record<string, unknown>, string]> = [
    [{}, "<user>hi<assistant>"],
    [{ add_generation_prompt: false }, "<user>hi"],
    [{ add_special_tokens: true }, "\x01<user>hi<assistant>"],
    [{ messages: [{ role: "developer", content: "be" }, user] }, "<system>be<user>hi<assistant>"],
    [
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "a" },
              { type: "text", text: "b" },
            ],
          },
        ],
      },
      "<user>a\nb<assistant>",
    ],
    [{ messages: [user, { role: "assistant", content: null }] }, "<user>hi<assistant><assistant>"],
  ]
  it.each(rendered)("renders %j", (body, expected) => {
    assert.strictEqual(text(body), expected)
  })

  it("may fill the context, unless a length is asked for", () => {
    const prompt = "<user>hi<assistant>".length
    assert.strictEqual(draft({}).sampling.maxTokens, contextTokensMax - prompt)
    assert.strictEqual(draft({ max_tokens: 9 }).sampling.maxTokens, 9)
    const both = draft({ max_tokens: 9, max_completion_tokens: 8 })
    assert.strictEqual(both.sampling.maxTokens, 8)
  })

  it("reads logprobs as a switch and a count", () => {
    assert.strictEqual(draft({}).sampling.logprobs, -1)
    assert.strictEqual(draft({ logprobs: true }).sampling.logprobs, 0)
    assert.strictEqual(draft({ logprobs: true, top_logprobs: 5 }).sampling.logprobs, 5)
  })

  it("takes the neutral forms of what it cannot do", () => {
    draft({
      tools: [],
      tool_choice: "none",
      modalities: ["text"],
      response_format: { type: "text" },
      parallel_tool_calls: true,
      reasoning_effort: "low",
      metadata: { a: "b" },
      store: false,
    })
  })
})

const image = [{ type: "image_url", image_url: { url: "data:," } }]
const wrong: ReadonlyArray<readonly [string, Record<string, unknown>, string, string | null]> = [
  ["no messages", { messages: undefined }, "missing_required_parameter", "messages"],
  ["empty messages", { messages: [] }, "invalid_value", "messages"],
  ["text for messages", { messages: "hi" }, "invalid_value", "messages"],
  ["text for a message", { messages: ["hi"] }, "invalid_value", "messages[0]"],
  [
    "a message without role",
    { messages: [{ content: "a" }] },
    "missing_required_parameter",
    "messages[0].role",
  ],
  [
    "a number for a role",
    { messages: [{ role: 1, content: "a" }] },
    "invalid_value",
    "messages[0].role",
  ],
  [
    "an empty role",
    { messages: [{ role: "", content: "a" }] },
    "invalid_value",
    "messages[0].role",
  ],
  ["no content", { messages: [user, { role: "user" }] }, "invalid_value", "messages[1].content"],
  [
    "a number for content",
    { messages: [{ role: "user", content: 1 }] },
    "invalid_value",
    "messages[0].content",
  ],
  [
    "an image",
    { messages: [{ role: "user", content: image }] },
    "unsupported_parameter",
    "messages[0].content[0]",
  ],
  [
    "a part without text",
    { messages: [{ role: "user", content: [{ type: "text" }] }] },
    "invalid_value",
    "messages[0].content[0].text",
  ],
  [
    "a role of no template",
    { messages: [{ role: "alien", content: "a" }] },
    "chat_template_failed",
    null,
  ],
  [
    "a long conversation",
    { messages: [{ role: "user", content: "a".repeat(600) }] },
    "context_length_exceeded",
    "messages",
  ],
  ["too much in all", { max_tokens: 500 }, "context_length_exceeded", "messages"],
  ["a count without switch", { top_logprobs: 2 }, "invalid_value", "top_logprobs"],
  ["logprobs as in completions", { logprobs: 2 }, "invalid_value", "logprobs"],
  ["many alternatives", { logprobs: true, top_logprobs: 21 }, "invalid_value", "top_logprobs"],
  [
    "a tool without a name",
    { tools: [{ type: "function" }] },
    "missing_required_parameter",
    "tools[0].function",
  ],
  ["functions", { functions: [{}] }, "unsupported_parameter", "functions"],
  [
    "a forced tool that is not there",
    { tool_choice: { type: "function", function: { name: "x" } } },
    "invalid_value",
    "tool_choice",
  ],
  [
    "no schema",
    { response_format: { type: "json_schema" } },
    "invalid_value",
    "response_format.json_schema",
  ],
  ["speech", { modalities: ["text", "audio"] }, "unsupported_parameter", "modalities"],
  ["audio", { audio: { voice: "a" } }, "unsupported_parameter", "audio"],
  ["its own template", { chat_template: "{{ x }}" }, "unsupported_parameter", "chat_template"],
  [
    "a reserved variable",
    { chat_template_kwargs: { messages: [] } },
    "invalid_value",
    "chat_template_kwargs.messages",
  ],
  ["variables of no kind", { chat_template_kwargs: 5 }, "invalid_value", "chat_template_kwargs"],
]

describe("a chat is refused", () => {
  it.each(wrong)("for %s", (_, body, code, param) => {
    const { messages = [user], ...rest } = { messages: [user], ...body }
    const whole =
      "messages" in body && body["messages"] === undefined ? rest : { messages, ...rest }
    assert.deepInclude(refused(parseChat, whole), { code, param, status: 400 })
  })
})

describe("a message of the WebSocket", () => {
  it("is a streamed completion with the client's own id", () => {
    const { dialect, answer, sampling } = parsed(parseStream, {
      model: "tales",
      prompt: "a",
      stream: true,
      id: "mine",
    })
    assert.strictEqual(dialect, "stream")
    assert.deepInclude(answer, { stream: true, clientId: "mine" })
    assert.strictEqual(sampling.maxTokens, 256)
  })

  it("is a streamed chat where it has messages", () => {
    const message = { type: "request", messages: [user], id: "mine", idempotency_key: "k" }
    const streamed = parsed(parseStream, { ...message, max_tokens: 5, seed: 7 })
    const chat = parsed(parseChat, { messages: [user], stream: true, max_tokens: 5, seed: 7 })
    assert.deepStrictEqual(streamed, { ...chat, answer: { ...chat.answer, clientId: "mine" } })
  })

  const wrongMessages: ReadonlyArray<readonly [Record<string, unknown>, string, string]> = [
    [{ prompt: "a", n: 2 }, "unsupported_parameter", "n"],
    [{ prompt: ["a", "b"] }, "invalid_value", "prompt"],
    [{ prompt: "a", id: "" }, "invalid_value", "id"],
    [{ prompt: "a", id: "x".repeat(129) }, "invalid_value", "id"],
    [{ prompt: "a", id: 5 }, "invalid_value", "id"],
    [{ messages: [user], id: 5 }, "invalid_value", "id"],
    [{ messages: [user], n: 2 }, "unsupported_parameter", "n"],
    [{ messages: 5 }, "invalid_value", "messages"],
    [{}, "missing_required_parameter", "prompt"],
  ]
  it.each(wrongMessages)("is refused as %j", (body, code, param) => {
    assert.deepInclude(refused(parseStream, body), { code, param })
  })
})
