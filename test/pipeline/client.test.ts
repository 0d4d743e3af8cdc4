// sluice/client over a network that breaks at any byte: the text comes exactly once, by server-sent
// events and by WebSocket. What it cannot mend is a typed error; cancel and leaving do as they say.
import { rolldown } from "rolldown"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { type Generation, SluiceClient, SluiceError } from "../../src/client/client.ts"
import { type CuttingProxy, cuttingProxy } from "../support/conformance/cuttingProxy.ts"
import { useServer } from "../support/conformance/server.ts"
import { type Sluice, startSluice } from "../support/server.ts"
import { makeRandom } from "../support/tokenizer.ts"

const server = useServer()
let proxy: CuttingProxy | null = null
afterEach(async () => {
  await proxy?.close()
  proxy = null
})

const wholeOf = async (requestId: string | null) => {
  const response = await fetch(`${server.url}/v1/requests/${requestId}`)
  const body: {
    readonly choices: ReadonlyArray<{ readonly text: string }>
    readonly cursor: number
    readonly status: string
    readonly usage: { readonly completion_tokens: number }
  } = JSON.parse(await response.text())
  return body
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )

const transports = ["sse", "websocket"] as const
const body = { prompt: "Once upon a time", max_tokens: 80 }
const backoffMs = [1, 20] as const

describe.each(transports)("over %s", (transport) => {
  it("hundreds of cuts at random bytes change nothing", async () => {
    const draw = makeRandom(transport.length)
    // A handshake or an answer's headers may be cut too: then no id is known yet.
    proxy = await cuttingProxy(server.port, () => 1 + draw(transport === "sse" ? 2500 : 700))
    const client = new SluiceClient({ url: proxy.url, transport, backoffMs, retries: 200 })
    const generations = Array.from({ length: 15 }, (_, i) =>
      i % 3 === 0
        ? client.chat({ messages: [{ role: "user", content: "Go on." }], max_tokens: 80 })
        : client.complete(body),
    )
    const read = async (generation: Generation) => {
      let text = ""
      let cursor = 0
      for await (const piece of generation) {
        assert.isAbove(piece.cursor, cursor)
        cursor = piece.cursor
        text += piece.text
      }
      return text
    }
    const texts = await Promise.all(generations.map(read))
    for (const [i, generation] of generations.entries()) {
      const whole = await wholeOf(generation.requestId)
      assert.strictEqual(texts[i], whole.choices[0]?.text)
      assert.strictEqual(whole.usage.completion_tokens, 80)
      assert.strictEqual(generation.cursor, whole.cursor)
    }
    assert.strictEqual(new Set(generations.map(({ requestId }) => requestId)).size, 15)
    assert.isAbove(proxy.cuts(), 150)
  }, 90_000)

  it("takes up an earlier request from a cursor, and tells its usage", async () => {
    const client = new SluiceClient({ url: server.url, transport })
    const first = client.complete(body)
    let head = ""
    for await (const piece of first) {
      head += piece.text
      if (piece.cursor === 10) break
    }
    const second = client.resume(first.requestId ?? "", 10)
    const tail = await second.text()
    assert.strictEqual(head + tail, (await wholeOf(first.requestId)).choices[0]?.text)
    assert.isTrue(second.isDone)
    const third = client.complete({ ...body, max_tokens: 5 })
    await third.text()
    assert.strictEqual(third.usage?.completion_tokens, 5)
  })

  it("cancels, and the loop ends", async () => {
    const client = new SluiceClient({ url: server.url, transport })
    const generation = client.complete({ ...body, max_tokens: 400 })
    for await (const piece of generation) if (piece.cursor === 5) await generation.cancel()
    assert.isTrue(generation.isDone)
    await generation.cancel()
    assert.strictEqual((await wholeOf(generation.requestId)).status, "cancelled")
  })

  it("throws what the server says is wrong", async () => {
    const client = new SluiceClient({ url: server.url, transport, backoffMs, retries: 2 })
    const wrong = await errorOf(client.complete({ ...body, temperature: 9 }).text())
    assert.instanceOf(wrong, SluiceError)
    if (wrong instanceof SluiceError) {
      assert.deepInclude(
        { code: wrong.code, param: wrong.facts.param, isPassing: wrong.isPassing },
        { code: "invalid_value", param: "temperature", isPassing: false },
      )
    }
    const nobody = await errorOf(client.resume("req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5f").text())
    assert.instanceOf(nobody, SluiceError)
  })

  it("throws how a request ended that another cancelled", async () => {
    const client = new SluiceClient({ url: server.url, transport })
    const generation = client.complete({ ...body, max_tokens: 400 })
    const read = async () => {
      for await (const piece of generation) {
        if (piece.cursor === 3) await client.resume(generation.requestId ?? "").cancel()
      }
    }
    const error = await errorOf(read())
    assert.instanceOf(error, SluiceError)
    if (error instanceof SluiceError) assert.strictEqual(error.code, "request_cancelled")
  })

  it("gives up on a server that is not there, after so many tries", async () => {
    const client = new SluiceClient({
      url: "http://127.0.0.1:9",
      transport,
      backoffMs: [1, 2],
      retries: 3,
    })
    const error = await errorOf(client.complete(body).text())
    assert.instanceOf(error, SluiceError)
    if (error instanceof SluiceError) assert.strictEqual(error.code, "connection_lost")
  })

  it("leaves when its signal says so; the request goes on", async () => {
    const client = new SluiceClient({ url: server.url, transport })
    const controller = new AbortController()
    const generation = client.complete(body, { signal: controller.signal })
    const read = async () => {
      for await (const piece of generation) if (piece.cursor === 4) controller.abort()
    }
    const error = await errorOf(read())
    assert.strictEqual(error, controller.signal.reason)
    const rest = await client.resume(generation.requestId ?? "", 0).text()
    assert.strictEqual((await wholeOf(generation.requestId)).choices[0]?.text, rest)
  })
})

it("calls under one idempotency key are one request", async () => {
  const client = new SluiceClient({ url: server.url })
  const options = { idempotencyKey: `key-${process.pid}` }
  const one = client.complete(body, options)
  const other = client.complete(body, options)
  const [text, again] = await Promise.all([one.text(), other.text()])
  assert.strictEqual(text, again)
  assert.strictEqual(one.requestId, other.requestId)
})

it("is smaller than 5 KB, minified, and depends on nothing", async () => {
  const bundle = await rolldown({ input: "src/client/client.ts", platform: "browser" })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  await bundle.close()
  assert.strictEqual(output.length, 1)
  const [chunk] = output
  assert.deepStrictEqual(chunk.imports, [])
  assert.isBelow(Buffer.byteLength(chunk.code), 5000)
})

describe.each(transports)("with an API key, over %s", (transport) => {
  let keyed: Sluice | null = null
  beforeAll(async () => {
    const env = { SLUICE_API_KEYS: "someone:sk-one/two+three=" }
    keyed = await startSluice({ flags: ["--engine", "scripted"], env })
  })
  afterAll(async () => {
    await keyed?.stop()
  })

  it("is let in, resumes and cancels; without one it is not", async () => {
    const url = keyed?.url ?? ""
    const client = new SluiceClient({ url, transport, key: "sk-one/two+three=" })
    const generation = client.complete(body)
    const text = await generation.text()
    assert.strictEqual(await client.resume(generation.requestId ?? "").text(), text)
    await client.resume(generation.requestId ?? "").cancel()
    const stranger = new SluiceClient({ url, transport, backoffMs, retries: 2 })
    const error = await errorOf(stranger.complete(body).text())
    assert.instanceOf(error, SluiceError)
  })
})
