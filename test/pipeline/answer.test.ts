// Answers over real HTTP, with requests and events under the test's hand: what is written, when,
// and what happens when somebody leaves, reads slowly, or something before the answer fails.
import { afterEach, assert, describe, it } from "vitest"
import { connect } from "node:net"
import { Effect } from "effect"
import { RelayError } from "../../src/relay/Relay.ts"
import { EnqueueError } from "../../src/enqueue/Enqueue.ts"
import { AnswerServer, draftOf, until } from "../support/answer/AnswerServer.ts"
import { accepted, eventsOf, requestId } from "../support/answer/events.ts"
import { WhatwgSse } from "../support/answer/whatwgSse.ts"

let server: AnswerServer
afterEach(() => server.stop())

const start = async (...config: ConstructorParameters<typeof AnswerServer>) => {
  server = await new AnswerServer(...config).start()
  return server
}

const post = () => fetch(server.url, { method: "POST" })
const events = eventsOf(accepted(), [{ texts: ["Once", " upon"], finish: "stop" }])

/** Reads until the server ends; the SSE events. */
const readAll = async (response: Response) => {
  const judge = new WhatwgSse()
  judge.push(new Uint8Array(await response.arrayBuffer()))
  return judge.events
}

/** A raw connection, which reads only when asked to. */
const rawRequest = (text: string) => {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.write(text)
  return socket
}

describe("a streamed answer", () => {
  it("sends no success byte before the request is durable (invariant 1)", async () => {
    const { stages } = await start()
    let accept = () => {}
    stages.onSubmit = Effect.callback<void>((resume) => {
      accept = () => resume(Effect.void)
    })
    let got = false
    const response = post().then((given) => ((got = true), given))
    await until(() => stages.subscribers === 1)
    stages.say(requestId, events)
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.isFalse(got)
    accept()
    const said = await readAll(await response)
    assert.deepStrictEqual(
      said.map((event) => event.lastEventId),
      ["1", "2", "3"],
    )
  })

  it("names its request before the first token, in headers that keep proxies out", async () => {
    const { stages } = await start()
    const response = await post()
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers.get("x-request-id"), requestId)
    assert.strictEqual(response.headers.get("content-type"), "text/event-stream; charset=utf-8")
    assert.strictEqual(response.headers.get("cache-control"), "no-cache, no-transform")
    assert.strictEqual(response.headers.get("x-accel-buffering"), "no")
    stages.say(requestId, events)
    const said = await readAll(response)
    assert.strictEqual(said.at(-1)?.data, "[DONE]")
    await until(() => stages.subscribers === 0 && server.ended === 1)
  })

  it("is an error with its status when the request is refused", async () => {
    const { stages } = await start()
    stages.onSubmit = Effect.fail(
      new EnqueueError({ reason: "busy", message: "Too much to do.", retryAfterMs: 2500 }),
    )
    const response = await post()
    assert.strictEqual(response.status, 429)
    assert.strictEqual(response.headers.get("retry-after"), "3")
    assert.strictEqual(stages.subscribers, 0)
  })

  it("submits nothing when there is no room for a subscriber", async () => {
    const { stages } = await start()
    stages.refusal = new RelayError({ reason: "tooManySubscribers", message: "full" })
    const response = await post()
    assert.strictEqual(response.status, 503)
    assert.strictEqual(stages.requests.size, 0)
  })

  it("ends with an error object without a cursor when the subscription breaks", async () => {
    const { stages } = await start()
    const response = await post()
    stages.say(requestId, events.slice(0, 1))
    stages.breakOff(new RelayError({ reason: "gone", message: "Retention passed it." }))
    const said = await readAll(response)
    assert.deepStrictEqual(
      said.map((event) => event.lastEventId),
      ["1", "1"],
    )
    assert.strictEqual(JSON.parse(said[1]?.data ?? "").error.code, "request_expired")
  })

  it("keeps an idle stream alive with comments that no parser sees", async () => {
    const { stages } = await start({ heartbeat: { mode: "comment", everyMs: 40 } })
    const response = await post()
    await new Promise((resolve) => setTimeout(resolve, 150))
    stages.say(requestId, events)
    const text = await response.text()
    assert.match(text, /^(:\n)+id: 1\n/)
  })

  it("keeps an idle stream alive with empty chunks where comments do not count", async () => {
    const { stages } = await start({ heartbeat: { mode: "event", everyMs: 40 } })
    const response = await post()
    await new Promise((resolve) => setTimeout(resolve, 150))
    stages.say(requestId, events)
    const said = await readAll(response)
    assert.strictEqual(JSON.parse(said[0]?.data ?? "").choices[0].text, "")
    assert.strictEqual(said[0]?.lastEventId, "")
  })
})

describe("a whole answer", () => {
  it("comes once, when the request has ended", async () => {
    const { stages } = await start()
    server.draft = draftOf(accepted({ answer: { stream: false } }))
    const response = post()
    await until(() => stages.requests.size === 1)
    for (const event of events) stages.say(requestId, [event])
    const given = await response
    assert.strictEqual(given.headers.get("x-request-id"), requestId)
    const body = JSON.parse(await given.text())
    assert.strictEqual(body.choices[0].text, "Once upon")
    assert.strictEqual(body.usage.completion_tokens, 2)
    assert.strictEqual(stages.subscribers, 0)
  })

  it.each([
    ["failed", 500],
    ["cancelled", 499],
    ["expired", 504],
    ["deadLettered", 500],
  ] as const)("of a request that %s is an error with status %d", async (ending, status) => {
    const { stages } = await start()
    server.draft = draftOf(accepted({ answer: { stream: false } }))
    const response = post()
    await until(() => stages.requests.size === 1)
    stages.say(requestId, eventsOf(accepted(), [{ texts: ["a"] }], ending))
    assert.strictEqual((await response).status, status)
  })
})

describe("a client that leaves", () => {
  const leave = async (options: { stream: boolean; cancelOnDisconnect: boolean }) => {
    const { stages } = await start()
    server.draft = draftOf(accepted({ answer: options }))
    const abort = new AbortController()
    const response = fetch(server.url, { method: "POST", signal: abort.signal })
    const read = response.then((given) => given.text())
    await until(() => stages.requests.size === 1)
    abort.abort()
    await read.catch(() => {})
    await until(() => stages.subscribers === 0 && server.ended === 1)
    return stages.cancels
  }

  it.each([true, false])("ends its answer, not its request (stream: %s)", async (stream) => {
    assert.deepStrictEqual(await leave({ stream, cancelOnDisconnect: false }), [])
  })

  it.each([true, false])("cancels where it asked for that (stream: %s)", async (stream) => {
    const cancels = await leave({ stream, cancelOnDisconnect: true })
    assert.deepStrictEqual(cancels, [{ requestId, by: "disconnect" }])
  })
})

describe("a slow client", () => {
  it("pauses its own stream within the bound and gets everything in the end", async () => {
    const { stages } = await start()
    stages.deliveryMax = 50
    const socket = rawRequest("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    socket.pause()
    await until(() => stages.requests.size === 1)
    const long = "x".repeat(1000)
    const request = accepted()
    const many = eventsOf(request, [
      { texts: Array.from({ length: 20_000 }, () => long), finish: "length" },
    ])
    let asked = 0
    const deliver = setInterval(() => stages.say(requestId, many.slice(asked, (asked += 2000))), 5)
    await until(() => asked >= many.length)
    clearInterval(deliver)
    // Our buffer holds a few hundred events, the kernel's some megabytes; 24 MB were said.
    assert.isBelow(stages.taken(requestId), many.length / 2, "the stream waits for its client")
    const chunks: Array<Buffer> = []
    socket.on("data", (chunk) => chunks.push(chunk))
    socket.resume()
    await new Promise((resolve) => socket.once("close", resolve))
    const cursors = Buffer.concat(chunks)
      .toString()
      .match(/id: \d+/g)
    assert.deepStrictEqual(
      cursors,
      many.map((event) => `id: ${event.number}`),
    )
  })
})
