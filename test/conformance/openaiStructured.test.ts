// OpenAI's own helpers for Node, unmodified: schemas by zod, parsed answers, and tools that the
// client runs by itself, on the bundled model.
import { describe, expect, it } from "vitest"
import OpenAI from "openai"
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod"
import { z } from "zod"
import { useServer } from "../support/conformance/server.ts"
import { needsGrammars } from "../support/grammar.ts"

const server = useServer("native")
const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })

const messages: Array<{ role: "user"; content: string }> = [
  { role: "user", content: "Tell me about a cat." },
]
const base = { model: "tales-11m", temperature: 1, seed: 7, max_tokens: 200, messages }

const Animal = z.object({
  name: z.string().max(20),
  kind: z.enum(["cat", "dog"]),
  legs: z.number().int().min(0).max(4),
})

const City = { type: "object", properties: { city: { type: "string", maxLength: 12 } } }
const weather = {
  type: "function" as const,
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    parameters: { ...City, required: ["city"], additionalProperties: false },
  },
}

describe("OpenAI's helpers", needsGrammars, () => {
  it("chat.completions.parse with zodResponseFormat", async () => {
    const { choices } = await client().chat.completions.parse({
      ...base,
      n: 2,
      response_format: zodResponseFormat(Animal, "animal"),
    })
    expect(choices.length).toBe(2)
    for (const { message } of choices) expect(Animal.parse(message.parsed)).toEqual(message.parsed)
  })

  it("chat.completions.stream parses what it streamed", async () => {
    const stream = client().chat.completions.stream({
      ...base,
      response_format: zodResponseFormat(Animal, "animal"),
    })
    const { choices } = await stream.finalChatCompletion()
    expect(Animal.safeParse(choices[0]?.message.parsed).success).toBe(true)
  })

  it("a required tool is called, streamed or whole alike", async () => {
    const body = {
      ...base,
      tools: [weather],
      tool_choice: "required" as const,
      parallel_tool_calls: false,
    }
    const whole = await client().chat.completions.create(body)
    const [call] = whole.choices[0]?.message.tool_calls ?? []
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls")
    expect(call?.type === "function" && JSON.parse(call.function.arguments)).toHaveProperty("city")
    const deltas: Array<string> = []
    let finish: string | null = null
    for await (const { choices } of await client().chat.completions.create({
      ...body,
      stream: true,
    })) {
      for (const part of choices[0]?.delta.tool_calls ?? []) {
        deltas.push(part.function?.arguments ?? "")
      }
      finish = choices[0]?.finish_reason ?? finish
    }
    expect(finish).toBe("tool_calls")
    expect(deltas.length).toBeGreaterThan(1)
    expect(call?.type === "function" && call.function.arguments).toBe(deltas.join(""))
  })

  it("runTools calls the function and tells the model what it gave", async () => {
    const cities: Array<unknown> = []
    const runner = client().chat.completions.runTools(
      {
        ...base,
        tool_choice: { type: "function", function: { name: "get_weather" } },
        tools: [
          {
            type: "function",
            function: {
              ...weather.function,
              description: "The weather of a city.",
              parse: (text: string): unknown => JSON.parse(text),
              function: (asked: unknown) => {
                cities.push(asked)
                return "It rains."
              },
            },
          },
        ],
      },
      { maxChatCompletions: 2 },
    )
    await runner.done()
    expect(cities.length).toBeGreaterThan(0)
    expect(runner.messages.map(({ role }) => role).slice(0, 3)).toEqual([
      "user",
      "assistant",
      "tool",
    ])
  })

  it("responses.parse with zodTextFormat", async () => {
    const { output_parsed: parsed, text } = await client().responses.parse({
      model: base.model,
      temperature: 1,
      max_output_tokens: 200,
      input: "Tell me about a cat.",
      text: { format: zodTextFormat(Animal, "animal") },
    })
    expect(Animal.parse(parsed)).toEqual(parsed)
    expect(text?.format).toMatchObject({ type: "json_schema", name: "animal" })
  })

  it("a schema that cannot be followed is refused with its keyword and path", async () => {
    const schema = { type: "object", properties: { a: { type: "array", uniqueItems: true } } }
    const refused = client().chat.completions.create({
      ...base,
      response_format: { type: "json_schema", json_schema: { name: "x", schema } },
    })
    await expect(refused).rejects.toMatchObject({
      status: 400,
      param: "response_format.json_schema.schema.properties.a.uniqueItems",
    })
  })
})
