// OpenAI's own client for Node, unmodified, on /v1/responses: whole, streamed, in the background,
// taken up again after any event, cancelled, gone on from.
import { assert, describe, it } from "vitest"
import OpenAI, { BadRequestError, NotFoundError } from "openai"
import { useServer } from "../support/conformance/server.ts"

const server = useServer()
const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })

const modelOf = async () => {
  const { data } = await client().models.list()
  return data[0]?.id ?? ""
}

const base = async () => ({ model: await modelOf(), input: "Tell me a tale.", temperature: 0 })

type Create = OpenAI.Responses.ResponseCreateParamsStreaming

const eventsOf = async (body: Create) => {
  const events: Array<OpenAI.Responses.ResponseStreamEvent> = []
  for await (const event of await client().responses.create(body)) events.push(event)
  return events
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )

describe("a response", () => {
  it("whole, and streamed event by event to the same text", async () => {
    const body = { ...(await base()), max_output_tokens: 12, metadata: { chapter: "1" } }
    const whole = await client().responses.create(body)
    assert.match(whole.id, /^resp_[0-9a-f]{32}$/)
    assert.strictEqual(whole.status, "incomplete")
    assert.strictEqual(whole.incomplete_details?.reason, "max_output_tokens")
    assert.strictEqual(whole.usage?.output_tokens, 12)
    assert.deepStrictEqual(whole.metadata, { chapter: "1" })
    const events = await eventsOf({ ...body, stream: true })
    assert.deepStrictEqual(
      events.map((event) => event.sequence_number),
      events.map((_, i) => i),
    )
    const types = events.map(({ type }) => type).filter((type) => !type.endsWith(".delta"))
    assert.deepStrictEqual(types, [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ])
    const text = events.map((event) =>
      event.type === "response.output_text.delta" ? event.delta : "",
    )
    assert.strictEqual(text.join(""), whole.output_text)
  })

  it("adds up in the helper, which checks every event", async () => {
    const body = { ...(await base()), max_output_tokens: 8, top_logprobs: 2 }
    const runner = client().responses.stream(body)
    const deltas: Array<string> = []
    runner.on("response.output_text.delta", ({ delta }) => deltas.push(delta))
    const final = await runner.finalResponse()
    assert.strictEqual(final.output_text, deltas.join(""))
    const [message] = final.output
    assert.strictEqual(message?.type, "message")
    if (message?.type !== "message") return
    const [part] = message.content
    assert.strictEqual(part?.type === "output_text" && part.logprobs?.length, 8)
  })

  it("goes on from an earlier one", async () => {
    const body = { ...(await base()), max_output_tokens: 40 }
    const first = await client().responses.create({ ...body, instructions: "Be brief." })
    const next = { ...body, input: "And then?", previous_response_id: first.id }
    const second = await client().responses.create(next)
    const spelled = await client().responses.create({
      ...body,
      input: [
        { role: "user", content: body.input },
        { role: "assistant", content: first.output_text },
        { role: "user", content: [{ type: "input_text", text: "And then?" }] },
      ],
    })
    assert.strictEqual(second.previous_response_id, first.id)
    assert.strictEqual(second.usage?.input_tokens, spelled.usage?.input_tokens)
    assert.strictEqual(second.output_text, spelled.output_text)
  })
})

/** Requests that ended well, by the metrics. */
const ended = (metrics: string) =>
  Number(/^llm_requests_total\{.*status="ok".*\} (\d+)$/m.exec(metrics)?.[1] ?? 0)

describe("in the background", () => {
  it("is answered at once, and retrieved when it is done", async () => {
    const body = { ...(await base()), max_output_tokens: 20, background: true }
    const before = await (await fetch(`${server.url}/metrics`)).text()
    const queued = await client().responses.create(body)
    assert.strictEqual(queued.status, "queued")
    assert.deepStrictEqual(queued.output, [])
    let found = queued
    for (let waited = 0; waited < 100 && found.status !== "incomplete"; waited++) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      found = await client().responses.retrieve(queued.id)
    }
    assert.strictEqual(found.status, "incomplete")
    assert.strictEqual(found.usage?.output_tokens, 20)
    assert.isAbove(found.output_text.length, 0)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    assert.strictEqual(ended(metrics), ended(before) + 1, "it is metered, although nobody waited")
  })

  it("is taken up again after every event, with the very same events", async () => {
    const body = { ...(await base()), max_output_tokens: 30, background: true }
    const events = await eventsOf({ ...body, stream: true })
    const [created] = events
    if (created?.type !== "response.created") throw new Error("it began otherwise")
    for (let after = 0; after < events.length; after += 7) {
      const rest = await client().responses.retrieve(created.response.id, {
        stream: true,
        starting_after: after,
      })
      const told: Array<unknown> = []
      for await (const event of rest) told.push(event)
      assert.deepStrictEqual(told, events.slice(after + 1))
    }
  })

  it("is taken up again by the helper, which asks for it all", async () => {
    const body = { ...(await base()), max_output_tokens: 30, background: true }
    const { id } = await client().responses.create(body)
    const seen: Array<number> = []
    const runner = client().responses.stream({ response_id: id, starting_after: 9 })
    runner.on("event", ({ sequence_number }) => seen.push(sequence_number))
    const final = await runner.finalResponse()
    assert.strictEqual(seen[0], 10)
    assert.strictEqual(final.output_text, (await client().responses.retrieve(id)).output_text)
  })

  it("is cancelled, again and again to the same effect", async () => {
    const body = { ...(await base()), max_output_tokens: 400, background: true }
    const { id } = await client().responses.create(body)
    const stream = await client().responses.retrieve(id, { stream: true, starting_after: 0 })
    let last: OpenAI.Responses.ResponseStreamEvent | null = null
    for await (const event of stream) {
      if (event.sequence_number === 5) {
        const cancelled = await client().responses.cancel(id)
        assert.strictEqual(cancelled.status, "cancelled")
      }
      last = event
    }
    assert.strictEqual(last?.type, "response.incomplete")
    if (last?.type === "response.incomplete") assert.strictEqual(last.response.status, "cancelled")
    const again = await client().responses.cancel(id)
    assert.deepStrictEqual(again.output, (await client().responses.retrieve(id)).output)
  })
})

describe("a stored response", () => {
  it("shows its logprobs again", async () => {
    const include = ["message.output_text.logprobs" as const]
    const body = { ...(await base()), max_output_tokens: 4, top_logprobs: 2, include }
    const whole = await client().responses.create(body)
    const again = await client().responses.retrieve(whole.id)
    assert.deepStrictEqual(again.output, whole.output)
    const [item] = again.output
    const part = item?.type === "message" ? item.content[0] : undefined
    assert.strictEqual(part?.type === "output_text" ? part.logprobs?.length : 0, 4)
  })

  it("lists what was said up to it, page by page", async () => {
    const said = ["One.", "Two.", "Three."]
    const input = said.map((content) => ({ role: "user" as const, content }))
    const { id } = await client().responses.create({
      ...(await base()),
      input,
      max_output_tokens: 2,
    })
    const texts: Array<string> = []
    for await (const item of client().responses.inputItems.list(id, { limit: 2, order: "asc" })) {
      const [part] = item.type === "message" ? item.content : []
      if (part?.type === "input_text") texts.push(part.text)
    }
    assert.deepStrictEqual(texts, said)
    const { data } = await client().responses.inputItems.list(id, { limit: 1 })
    assert.deepInclude(data[0], { type: "message", role: "user", status: "completed" })
    for (const [name, value] of [
      ["limit", "0"],
      ["order", "up"],
      ["after", "x"],
    ]) {
      const path = `${server.url}/v1/responses/${id}/input_items?${name}=${value}`
      assert.strictEqual((await fetch(path)).status, 400)
    }
  })
})

describe("what is refused", () => {
  it("is named: tools, other input, a background response that is not stored", async () => {
    const body = await base()
    const cases: ReadonlyArray<readonly [object, string]> = [
      [{ tools: [{ type: "web_search" }] }, "tools"],
      [{ text: { format: { type: "xml" } } }, "text.format.type"],
      [{ input: [{ type: "item_reference", id: "x" }] }, "input[0]"],
      [{ background: true, store: false }, "store"],
      [{ previous_response_id: "resp_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f" }, "previous_response_id"],
    ]
    for (const [change, param] of cases) {
      const error = await errorOf(client().responses.create({ ...body, ...change }))
      assert.instanceOf(error, BadRequestError)
      if (error instanceof BadRequestError) assert.strictEqual(error.param, param)
    }
  })

  it("is not there when it was not stored", async () => {
    const body = { ...(await base()), max_output_tokens: 2, store: false }
    const { id } = await client().responses.create(body)
    assert.instanceOf(await errorOf(client().responses.retrieve(id)), NotFoundError)
  })
})
