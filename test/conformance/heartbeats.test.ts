// Streams that are silent for long: with heartbeats of either kind between almost all their events,
// every client reads what it reads without any. (openai-python: openaiPython.test.ts.)
import { EventSource } from "eventsource"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import OpenAI from "openai"
import { SluiceClient } from "../../src/client/client.ts"
import { type Sluice, startSluice } from "../support/server.ts"

const tokens = 8

describe.each(["comment", "event", "off"])("heartbeats: %s", (mode) => {
  let server: Sluice | null = null
  beforeAll(async () => {
    server = await startSluice({
      flags: ["--engine", "scripted"],
      env: {
        SLUICE_SCRIPTED_TOKENS_PER_SECOND: "4",
        SLUICE_HEARTBEAT_EVERY_MS: "100",
        SLUICE_HEARTBEAT_MODE: mode,
      },
    })
  })
  afterAll(async () => {
    await server?.stop()
  })

  const client = () => new OpenAI({ baseURL: `${server?.url}/v1`, apiKey: "none", maxRetries: 0 })
  const messages = [{ role: "user" as const, content: "Tell me a tale." }]
  const base = { seed: 3, max_tokens: tokens }

  it("openai-node: completions, chat and responses", async () => {
    const model = (await client().models.list()).data[0]?.id ?? ""
    const completion = async () => {
      const body = { model, prompt: "Once", ...base }
      let text = ""
      for await (const chunk of await client().completions.create({ ...body, stream: true })) {
        text += chunk.choices[0]?.text ?? ""
      }
      assert.strictEqual((await client().completions.create(body)).choices[0]?.text, text)
    }
    const chat = async () => {
      const body = { model, messages, ...base }
      const runner = client().chat.completions.stream(body)
      const whole = await client().chat.completions.create(body)
      assert.strictEqual(await runner.finalContent(), whole.choices[0]?.message.content)
    }
    const response = async () => {
      const body = { model, input: "Once", max_output_tokens: tokens, temperature: 0 }
      const runner = client().responses.stream({ ...body, background: true })
      const final = await runner.finalResponse()
      assert.strictEqual((await client().responses.create(body)).output_text, final.output_text)
      // A client goes on from the last number it saw, which heartbeats never raise.
      const numbers: Array<number> = []
      const stream = await client().responses.create({ ...body, stream: true })
      for await (const event of stream) numbers.push(event.sequence_number)
      assert.deepStrictEqual(
        [...new Set(numbers)],
        Array.from({ length: Math.max(...numbers) + 1 }, (_, i) => i),
      )
      assert.deepStrictEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      )
      if (mode === "event") assert.isAbove(numbers.length, new Set(numbers).size)
    }
    await Promise.all([completion(), chat(), response()])
  }, 30_000)

  it("EventSource and sluice/client", async () => {
    const mine = new SluiceClient({ url: server?.url ?? "" })
    const begun = mine.complete({ prompt: "Once", ...base })
    await begun[Symbol.asyncIterator]().next()
    const told = new Promise<string>((resolve) => {
      let all = ""
      const source = new EventSource(`${server?.url}/v1/requests/${begun.requestId}/events`)
      source.addEventListener("message", ({ data }) => {
        if (data !== "[DONE]") return void (all += JSON.parse(data).choices[0]?.text ?? "")
        source.close()
        resolve(all)
      })
    })
    const text = await mine.resume(begun.requestId ?? "").text()
    assert.isAbove(text.length, 0)
    assert.strictEqual(await told, text)
  }, 30_000)
})
