// Hostile clients on raw sockets: each gets a clear error, or is cut off, and the server is as
// before.
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { defaults } from "../../src/config/settings.ts"
import { ApiServer } from "../support/api/ApiServer.ts"
import { postHead, RawConnection } from "../support/api/rawHttp.ts"

const limits = { ...defaults().limits, bodyTimeoutMs: 300, connectionsMax: 1200 }
const rate = { requestsPerSecond: 10_000, burst: 10_000 }

let server: ApiServer
const open: Array<RawConnection> = []

const connect = () => {
  const connection = new RawConnection(server.port)
  open.push(connection)
  return connection
}

/** The error of an answer, in OpenAI's shape. */
const errorOf = (received: string) => {
  const [head = "", body = ""] = received.split("\r\n\r\n")
  const { error } = JSON.parse(body)
  assert.deepStrictEqual(Object.keys(error).sort(), ["code", "message", "param", "type"])
  assert.match(head, /content-type: application\/json/i)
  return error
}

const post = (
  body: string | Uint8Array,
  headers: Readonly<Record<string, string | number>> = {},
) => {
  const bytes = Buffer.from(body)
  const head = postHead("/v1/completions", { "content-length": bytes.length, ...headers })
  return connect().send(Buffer.concat([Buffer.from(head), bytes]))
}

beforeEach(async () => {
  server = await new ApiServer({ limits, rate }).start()
})

afterEach(async () => {
  // Whatever was done to it, an ordinary request is answered.
  const response = await server.post("/v1/completions", { prompt: "hi" })
  assert.strictEqual(response.status, 200)
  const { choices } = (await response.json()) as { choices: ReadonlyArray<{ text: string }> }
  assert.strictEqual(choices[0]?.text, "Once upon")
  for (const connection of open.splice(0)) connection.destroy()
  await server.stop()
})

describe("a hostile body", () => {
  const bodies: ReadonlyArray<readonly [string, string | Uint8Array, number, string]> = [
    ["no JSON", "{oops", 400, "invalid_json"],
    ["nothing", "", 400, "invalid_json"],
    ["invalid UTF-8", Buffer.from('{"prompt":"\xff"}', "latin1"), 400, "invalid_json"],
    ["deep nesting", `{"prompt":${"[".repeat(200_000)}`, 400, "invalid_json"],
    [
      "deep objects",
      `{"prompt":"a","x":${'{"a":'.repeat(5000)}1${"}".repeat(5000)}}`,
      400,
      "invalid_json",
    ],
    ["a huge number", '{"prompt":"a","max_tokens":1e999}', 400, "invalid_value"],
    ["a long number", `{"prompt":"a","n":${"9".repeat(100_000)}}`, 400, "invalid_value"],
    ["wrong types", '{"prompt":{"a":1},"temperature":"x"}', 400, "invalid_value"],
    [
      "a prototype",
      '{"__proto__":{"prompt":"a"},"constructor":1}',
      400,
      "missing_required_parameter",
    ],
    ["an unknown model", '{"model":"x","prompt":"a"}', 404, "model_not_found"],
    ["a long prompt", `{"prompt":"${"a".repeat(600)}"}`, 400, "context_length_exceeded"],
    ["a million ids", `{"prompt":[${"9,".repeat(1e6)}9]}`, 400, "context_length_exceeded"],
    ["a million prompts", `{"prompt":[${'"",'.repeat(1e6)}""]}`, 400, "invalid_value"],
    ["a million stops", `{"prompt":"a","stop":[${'"a",'.repeat(1e6)}"a"]}`, 400, "invalid_value"],
    [
      "a million fields",
      `{${Array.from({ length: 3e5 }, (_, i) => `"f${i}":1`).join(",")}}`,
      400,
      "invalid_json",
    ],
  ]
  it.each(bodies)("with %s is refused", async (_, body, status, code) => {
    const connection = post(body)
    assert.strictEqual(await connection.status(), status)
    assert.strictEqual(errorOf(connection.received).code, code)
  })

  it("of 10 MB is refused, said so at once or found while reading", async () => {
    const declared = connect().send(postHead("/v1/completions", { "content-length": 10_000_000 }))
    assert.strictEqual(await declared.status(), 413)
    const chunked = connect().send(postHead("/v1/completions", { "transfer-encoding": "chunked" }))
    const chunk = Buffer.alloc(1 << 16, "a")
    for (let sent = 0; sent < 10_000_000 && !chunked.closed; sent += chunk.length) {
      chunked
        .send(`${chunk.length.toString(16)}\r\n`)
        .send(chunk)
        .send("\r\n")
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.strictEqual(await chunked.status(), 413)
    await chunked.end()
  })

  it("that is sent whole before the answer is read gets its answer, not a reset", async () => {
    const body = new Uint8Array(6_000_000).fill(97)
    const connection = post(body)
    assert.strictEqual(await connection.status(), 413)
    assert.strictEqual(errorOf(connection.received).code, "request_too_large")
  })

  it("that comes too slowly is given up in time", async () => {
    const startedAt = performance.now()
    const connection = connect().send(postHead("/v1/completions", { "content-length": 100 }))
    const drip = setInterval(() => connection.send("{"), 50)
    assert.strictEqual(await connection.status(), 408)
    clearInterval(drip)
    assert.strictEqual(errorOf(connection.received).code, "request_timeout")
    assert.isBelow(performance.now() - startedAt, 4000)
    await connection.end()
  })

  it("that breaks off is nobody's answer", async () => {
    const connection = connect().send(postHead("/v1/completions", { "content-length": 100 }))
    connection.send('{"prompt":')
    await new Promise((resolve) => setTimeout(resolve, 50))
    connection.destroy()
    assert.lengthOf(server.drafts, 0)
  })

  const headers: ReadonlyArray<readonly [string, Record<string, string>, number]> = [
    ["compressed", { "content-encoding": "gzip" }, 415],
    ["as a form", { "content-type": "application/x-www-form-urlencoded" }, 415],
    ["as plain text, which any web page may send", { "content-type": "text/plain" }, 415],
    ["in UTF-16", { "content-type": "application/json; charset=utf-16" }, 415],
    ["with a broken timeout", { "x-request-timeout": "soon" }, 400],
  ]
  it.each(headers)("%s is refused", async (_, head, status) => {
    assert.strictEqual(await post('{"prompt":"a"}', head).status(), status)
  })
})

describe("hostile HTTP", () => {
  const requests: ReadonlyArray<readonly [string, string, number]> = [
    ["noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400],
    ["no host", "GET /health HTTP/1.1\r\n\r\n", 400],
    ["two lengths", postHead("/v1/completions", { "Content-Length": 5, "content-length": 6 }), 400],
    [
      "a length and chunks",
      postHead("/v1/completions", { "content-length": 5, "transfer-encoding": "chunked" }),
      400,
    ],
    ["a huge header", `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(20_000)}\r\n\r\n`, 431],
    ["many headers", `GET / HTTP/1.1\r\nhost: localhost\r\n${"x: y\r\n".repeat(5000)}\r\n`, 431],
    ["an unknown method", "BREW / HTTP/1.1\r\nhost: localhost\r\n\r\n", 400],
    [
      "a foreign protocol",
      "GET /v1/stream HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: irc\r\n\r\n",
      426,
    ],
    ["a broken escape", "GET /v1/models/%ZZ HTTP/1.1\r\nhost: localhost\r\n\r\n", 404],
    ["a long path", `GET /${"a".repeat(8000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, 404],
    ["a path up and out", "GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\n\r\n", 404],
    ["a wrong method", "DELETE /v1/completions HTTP/1.1\r\nhost: localhost\r\n\r\n", 405],
    ["a rebound host", "GET /v1/models HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403],
  ]
  it.each(requests)("with %s is refused", async (_, text, status) => {
    const connection = connect().send(Buffer.from(text, "latin1"))
    assert.strictEqual(await connection.status(), status)
    assert.isString(errorOf(connection.received).message)
  })

  it("that offers HTTP/2, as curl and Java do, is answered in HTTP/1.1", async () => {
    const connection = connect().send(
      "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\n" +
        "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    assert.strictEqual(await connection.status(), 200)
  })

  it("over a half-closed socket is answered all the same", async () => {
    const connection = post('{"prompt":"a","stream":true}')
    connection.socket.end()
    assert.strictEqual(await connection.status(), 200)
    assert.include(await connection.end(), "[DONE]")
  })

  it("pipelined is answered in order", async () => {
    const one = `${postHead("/tokenize", { "content-length": 14 })}{"prompt":"a"}`
    const two = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    const connection = connect().send(one + two)
    const received = await connection.end()
    assert.match(received, /"count":2.*HTTP\/1\.1 200.*"status":"ok"/s)
  })

  it("on a thousand idle sockets keeps nobody else waiting", async () => {
    for (let i = 0; i < 1000; i++) connect()
    const first = open[0]!.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert.strictEqual(await first.status(), 200)
    const startedAt = performance.now()
    assert.strictEqual((await server.post("/v1/completions", { prompt: "a" })).status, 200)
    assert.isBelow(performance.now() - startedAt, 2000)
  })

  it("that opens more connections than there may be has the new ones closed", async () => {
    await server.stop()
    server = await new ApiServer({ limits: { ...limits, connectionsMax: 5 }, rate }).start()
    for (let i = 0; i < 5; i++) {
      assert.strictEqual(
        await connect().send("GET /health HTTP/1.1\r\nhost: a.localhost\r\n\r\n").status(),
        200,
      )
    }
    const late = connect().send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert.strictEqual(await late.status(), null)
    for (const connection of open.splice(0)) connection.destroy()
    // The server learns of it a little later.
    const health = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    for (let i = 0; i < 100 && (await connect().send(health).status()) !== 200; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    for (const connection of open.splice(0)) connection.destroy()
  })
})
