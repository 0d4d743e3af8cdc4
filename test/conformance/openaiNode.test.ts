// OpenAI's own client for Node, unmodified: what it reads of our answers, streams and errors.
import { assert, describe, it } from "vitest"
import OpenAI, { APIError, BadRequestError, NotFoundError } from "openai"
import { useServer } from "../support/conformance/server.ts"

const server = useServer()
const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })

const modelOf = async () => {
  const models = await client().models.list()
  const [model] = models.data
  assert.isDefined(model)
  return model.id
}

const base = async () => ({ model: await modelOf(), seed: 7, max_tokens: 12 })

describe("completions", () => {
  it("whole, and streamed to the same text with its usage", async () => {
    const body = { ...(await base()), prompt: "Once upon a time" }
    const whole = await client().completions.create(body)
    assert.strictEqual(whole.object, "text_completion")
    assert.strictEqual(whole.choices[0]?.finish_reason, "length")
    assert.strictEqual(whole.usage?.completion_tokens, 12)
    const stream = await client().completions.create({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ""
    let usage = null
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? ""
      usage = chunk.usage ?? usage
    }
    assert.strictEqual(text, whole.choices[0]?.text)
    assert.strictEqual(usage?.completion_tokens, 12)
    assert.strictEqual(usage?.prompt_tokens, whole.usage?.prompt_tokens)
  })

  it("several prompts and choices come back in order, streamed or whole", async () => {
    const body = { ...(await base()), prompt: ["Once", "Twice"], n: 2, temperature: 1 }
    const whole = await client().completions.create(body)
    assert.deepStrictEqual(
      whole.choices.map(({ index }) => index),
      [0, 1, 2, 3],
    )
    const texts = ["", "", "", ""]
    for await (const chunk of await client().completions.create({ ...body, stream: true })) {
      for (const choice of chunk.choices) texts[choice.index] += choice.text
    }
    assert.deepStrictEqual(
      texts,
      whole.choices.map((choice) => choice.text),
    )
  })

  it("logprobs and echo line up with the tokens", async () => {
    const { choices } = await client().completions.create({
      ...(await base()),
      prompt: "Once upon",
      logprobs: 2,
      echo: true,
    })
    const [choice] = choices
    assert.isDefined(choice)
    assert.isTrue(choice.text.startsWith("Once upon"))
    const tokens = choice.logprobs?.tokens ?? []
    assert.isAbove(tokens.length, 12)
    assert.strictEqual(choice.logprobs?.token_logprobs?.length, tokens.length)
    assert.strictEqual(choice.logprobs?.text_offset?.length, tokens.length)
    assert.isNull(choice.logprobs?.token_logprobs?.[0])
  })
})

describe("chat", () => {
  const messages = [{ role: "user" as const, content: "Tell me a tale." }]

  it("whole, and streamed through the helper that adds up its parts", async () => {
    const body = { ...(await base()), messages }
    const whole = await client().chat.completions.create(body)
    const runner = client().chat.completions.stream({ ...body, stream: true })
    const final = await runner.finalChatCompletion()
    assert.strictEqual(final.choices[0]?.message.role, "assistant")
    assert.strictEqual(final.choices[0]?.message.content, whole.choices[0]?.message.content)
    assert.strictEqual(final.choices[0]?.finish_reason, "length")
    assert.strictEqual(whole.usage?.completion_tokens, 12)
  })

  it("two choices with logprobs", async () => {
    const { choices } = await client().chat.completions.create({
      ...(await base()),
      messages,
      n: 2,
      logprobs: true,
      top_logprobs: 3,
    })
    assert.strictEqual(choices.length, 2)
    for (const { logprobs } of choices) {
      const content = logprobs?.content ?? []
      assert.strictEqual(content.length, 12)
      assert.strictEqual(content[0]?.top_logprobs.length, 3)
      assert.isArray(content[0]?.bytes)
    }
  })
})

describe("errors", () => {
  it("are the classes that the client has for them", async () => {
    const model = await modelOf()
    const create = (body: object) =>
      client()
        .completions.create({ model, prompt: "x", ...body })
        .then(
          () => null,
          (error: unknown) => error,
        )
    const unknown = await create({ model: "nobody" })
    assert.instanceOf(unknown, NotFoundError)
    const wrong = await create({ temperature: 9 })
    assert.instanceOf(wrong, BadRequestError)
    if (wrong instanceof APIError) assert.strictEqual(wrong.param, "temperature")
  })

  it("inside an open stream are thrown, with the request's id on the response", async () => {
    const { data, response } = await client()
      .completions.create({ ...(await base()), prompt: "x", max_tokens: 500, stream: true })
      .withResponse()
    const id = response.headers.get("x-request-id")
    let seen = 0
    const read = async () => {
      for await (const chunk of data) {
        seen += chunk.choices.length
        if (seen === 1) await fetch(`${server.url}/v1/requests/${id}`, { method: "DELETE" })
      }
    }
    const error = await read().then(
      () => null,
      (thrown: unknown) => thrown,
    )
    assert.instanceOf(error, APIError)
    if (error instanceof APIError) assert.strictEqual(error.code, "request_cancelled")
    assert.isAbove(seen, 0)
  })
})
