// The way in as clients meet it: routes, ids, keys, rates, origins, readiness, the log line, the
// end.
import { request } from "node:http"
import { afterEach, assert, describe, it } from "vitest"
import { WebSocket } from "ws"
import { Api } from "../../src/api/Api.ts"
import { EnqueueError } from "../../src/enqueue/Enqueue.ts"
import { LogError } from "../../streams/Log.ts"
import { isRequestId } from "../../streams/requestId.ts"
import { Effect } from "effect"
import { ApiServer } from "../support/api/ApiServer.ts"
import { RawConnection } from "../support/api/rawHttp.ts"

let server: ApiServer
afterEach(() => server.stop())

const start = async (...config: ConstructorParameters<typeof ApiServer>) => {
  server = await new ApiServer(...config).start()
  return server
}

const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${server.url}${path}`, { headers })

const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code

const keys = [
  { key: "sk-one", tenant: "one", requestsPerSecond: 1, burst: 2 },
  { key: "sk-two", tenant: "two", requestsPerSecond: 100, burst: 200 },
]
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

/** What fetch will not send: any method and any header. */
const raw = (method: string, path: string, headers: Readonly<Record<string, string>>) =>
  new Promise<{ status: number; headers: NodeJS.Dict<string | Array<string>> }>(
    (resolve, reject) => {
      const sent = request(`${server.url}${path}`, { method, headers, agent: false }, (res) => {
        res.resume()
        resolve({ status: res.statusCode ?? 0, headers: res.headers })
      })
      sent.on("error", reject).end()
    },
  )

describe("every answer", () => {
  it("carries an id; an accepted request's own, and each failure's", async () => {
    await start()
    const good = await server.post("/v1/completions", { prompt: "a" })
    assert.strictEqual(good.headers.get("x-request-id"), server.drafts[0]?.requestId)
    for (const path of ["/nope", "/health", "/v1/requests/req-1"]) {
      assert.isTrue(isRequestId((await get(path)).headers.get("x-request-id") ?? ""), path)
    }
    const streamed = await server.post("/v1/chat/completions", {
      messages: [{ role: "user", content: "a" }],
      stream: true,
    })
    assert.strictEqual(streamed.headers.get("x-request-id"), server.drafts[1]?.requestId)
    assert.include(await streamed.text(), "[DONE]")
  })

  it("can be resumed by its id", async () => {
    await start()
    const whole = await server.post("/v1/completions", { prompt: "a", stream: true })
    const id = whole.headers.get("x-request-id") ?? ""
    const text = await whole.text()
    const rest = await get(`/v1/requests/${id}/events?cursor=1`)
    assert.strictEqual(rest.headers.get("x-request-id"), id)
    assert.strictEqual(await rest.text(), text.slice(text.indexOf("id: 2")))
    assert.strictEqual((await get(`/v1/requests/${id}/events?cursor=3`)).status, 204)
    const shown = (await (await get(`/v1/requests/${id}`)).json()) as Record<string, unknown>
    assert.deepInclude(shown, { id, status: "finished", cursor: 3 })
    const ahead = await get(`/v1/requests/${id}/events?cursor=9`)
    assert.strictEqual(await codeOf(ahead), "cursor_ahead")
  })

  it("to a HEAD is a GET's without body", async () => {
    await start()
    const head = await raw("HEAD", "/v1/models", {})
    assert.strictEqual(head.status, 200)
  })

  it("names the methods that a path has", async () => {
    await start()
    const wrong = await raw("PUT", "/v1/requests/req-1", {})
    assert.strictEqual(wrong.status, 405)
    assert.strictEqual(wrong.headers["allow"], "GET, DELETE, HEAD")
  })
})

describe("the small routes", () => {
  it("tokenize and detokenize as vLLM does", async () => {
    await start()
    const json = async (path: string, body: unknown) => (await server.post(path, body)).json()
    assert.deepStrictEqual(await json("/tokenize", { prompt: "hi", return_token_strs: true }), {
      count: 3,
      max_model_len: 512,
      tokens: [1, 104, 105],
      token_strs: ["\u0001", "h", "i"],
    })
    const chat = { messages: [{ role: "user", content: "a" }], add_generation_prompt: false }
    assert.deepInclude(await json("/tokenize", chat), { count: 7, token_strs: null })
    assert.deepStrictEqual(await json("/detokenize", { tokens: [104, 105] }), { prompt: "hi" })
    const wrong = await server.post("/detokenize", { tokens: [104, 256] })
    assert.strictEqual(await codeOf(wrong), "invalid_value")
    const both = await server.post("/tokenize", { prompt: "a", ...chat })
    assert.strictEqual(both.status, 400)
    assert.strictEqual((await server.post("/tokenize", {})).status, 400)
  })

  it("list the model", async () => {
    await start()
    const list = (await (await get("/v1/models")).json()) as { data: ReadonlyArray<unknown> }
    assert.deepInclude(list.data[0], { id: "tales", object: "model", max_model_len: 512 })
    assert.strictEqual((await get("/v1/models/tales")).status, 200)
    assert.strictEqual(await codeOf(await get("/v1/models/other%2Fmodel")), "model_not_found")
  })

  it("say whether the server is ready, and why not", async () => {
    await start()
    assert.strictEqual((await get("/ready")).status, 200)
    server.workersFault = "No worker has the model loaded."
    server.logFault = new LogError({ reason: "closed", message: "closed" })
    const not = await get("/ready")
    assert.strictEqual(not.status, 503)
    assert.strictEqual(not.headers.get("retry-after"), "1")
    const { error } = (await not.json()) as { error: { message: string } }
    assert.match(error.message, /log is not available \(closed\).*No worker has the model loaded/)
    assert.strictEqual((await get("/health")).status, 200)
  })

  it("hint, describe and measure", async () => {
    await start()
    assert.include(await (await get("/")).text(), `curl -N ${server.url}/v1/completions`)
    assert.strictEqual(
      ((await (await get("/openapi.json")).json()) as { openapi: string }).openapi,
      "3.1.0",
    )
    await server.post("/v1/completions", { prompt: "a", n: 0 })
    assert.match(
      await (await get("/metrics")).text(),
      /sluice_refusals_total\{[^}]*invalid_value[^}]*\} 1/,
    )
  })
})

describe("a server with keys", () => {
  it("answers those who have one, and health checks", async () => {
    await start({ apiKeys: keys })
    for (const path of ["/v1/models", "/v1/requests/req-1"]) {
      const refused = await get(path)
      assert.strictEqual(refused.status, 401)
      assert.match(refused.headers.get("www-authenticate") ?? "", /^Bearer/)
      assert.strictEqual(await codeOf(refused), "invalid_api_key")
    }
    assert.strictEqual((await get("/v1/models", bearer("sk-two"))).status, 200)
    for (const path of ["/health", "/ready", "/metrics", "/openapi.json", "/"]) {
      assert.strictEqual((await get(path)).status, 200, path)
    }
  })

  it("limits each key by its own bucket and says how long to wait", async () => {
    await start({ apiKeys: keys })
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push(await get("/v1/models", bearer("sk-one")))
    assert.deepStrictEqual(
      statuses.map((response) => response.status),
      [200, 200, 429],
    )
    const { headers } = statuses[2]!
    assert.strictEqual(headers.get("retry-after"), "1")
    const { error } = (await statuses[2]!.json()) as { error: { numbers: object } }
    assert.deepStrictEqual(error.numbers, { requests_per_second: 1, burst: 2 })
    assert.strictEqual(headers.get("x-ratelimit-limit-requests"), "2")
    assert.strictEqual(headers.get("x-ratelimit-remaining-requests"), "0")
    assert.match(headers.get("x-ratelimit-reset-requests") ?? "", /^[12](\.\d+)?s$/)
    assert.strictEqual((await get("/v1/models", bearer("sk-two"))).status, 200)
  })

  it("shows a request to its own tenant only", async () => {
    await start({ apiKeys: keys })
    const made = await server.post("/v1/completions", { prompt: "a" }, bearer("sk-two"))
    assert.strictEqual(server.drafts[0]?.tenant, "two")
    const path = `/v1/requests/${made.headers.get("x-request-id")}`
    assert.strictEqual((await get(path, bearer("sk-one"))).status, 404)
    assert.strictEqual((await get(path, bearer("sk-two"))).status, 200)
  })
})

describe("browsers from elsewhere", () => {
  const ask = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type",
  }

  it("are refused unless their origin is listed", async () => {
    await start()
    const refused = await get("/v1/models", { origin: "https://a.example" })
    assert.strictEqual(refused.status, 403)
    assert.isNull(refused.headers.get("access-control-allow-origin"))
    const preflight = await raw("OPTIONS", "/v1/completions", {
      origin: "https://a.example",
      ...ask,
    })
    assert.strictEqual(preflight.status, 403)
  })

  it("may call, and read errors, where it is listed", async () => {
    await start({ corsOrigins: ["https://a.example"] })
    const preflight = await raw("OPTIONS", "/v1/completions", {
      origin: "https://a.example",
      ...ask,
    })
    assert.strictEqual(preflight.status, 204)
    assert.strictEqual(preflight.headers["access-control-allow-origin"], "https://a.example")
    assert.strictEqual(preflight.headers["access-control-allow-headers"], "content-type")
    const wrong = await server.post("/v1/completions", {}, { origin: "https://a.example" })
    assert.strictEqual(wrong.status, 400)
    assert.strictEqual(wrong.headers.get("access-control-allow-origin"), "https://a.example")
    assert.include(wrong.headers.get("access-control-expose-headers"), "x-request-id")
  })
})

/** "open", or the status of the refused handshake. */
const handshake = (headers: Readonly<Record<string, string>>) =>
  new Promise<string | number>((resolve) => {
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/stream`, { headers })
    socket.on("open", () => (socket.close(), resolve("open")))
    socket.on("unexpected-response", (_, res) => (res.destroy(), resolve(res.statusCode ?? 0)))
    socket.on("error", () => {})
  })

describe("WS /v1/stream", () => {
  it("lets in whom HTTP would let in", async () => {
    await start({ apiKeys: keys })
    assert.strictEqual(await handshake({}), 401)
    assert.strictEqual(await handshake({ ...bearer("sk-two"), origin: "https://a.example" }), 403)
    assert.strictEqual(await handshake(bearer("sk-two")), "open")
    assert.strictEqual((await get("/v1/stream", bearer("sk-two"))).status, 426)
  })

  it("parses each message and takes a token for it", async () => {
    await start({ apiKeys: [{ ...keys[1]!, requestsPerSecond: 1, burst: 3 }] })
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/stream`, {
      headers: bearer("sk-two"),
    })
    const said: Array<Record<string, unknown>> = []
    socket.on("message", (data) => said.push(JSON.parse(String(data))))
    await new Promise((resolve) => socket.once("open", resolve))
    for (const id of ["a", "b", "c"]) socket.send(JSON.stringify({ id, prompt: "x" }))
    socket.send(JSON.stringify({ id: "d", prompt: "x", temperature: 9 }))
    const errorOf = (id: string) =>
      said.find((message) => message["id"] === id && "error" in message)?.["error"]
    for (let i = 0; i < 400 && (errorOf("c") === undefined || errorOf("d") === undefined); i++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.deepInclude(errorOf("c"), { code: "rate_limit_exceeded" })
    assert.lengthOf(server.drafts, 2)
    assert.deepInclude(server.drafts[0], { tenant: "two", dialect: "stream" })
    assert.strictEqual(server.drafts[0]?.answer.clientId, "a")
    socket.close()
  })
})

describe("a relay process", () => {
  it("serves requests made earlier, and takes none", async () => {
    await start({ api: Api.layerRelay })
    for (const path of ["/health", "/ready", "/metrics", "/openapi.json"]) {
      assert.strictEqual((await get(path)).status, 200, path)
    }
    assert.strictEqual(await codeOf(await get("/v1/requests/req-1")), "request_not_found")
    assert.strictEqual((await server.post("/v1/completions", { prompt: "a" })).status, 404)
    assert.strictEqual(await handshake({}), 404)
  })
})

describe("a refusal by the queue", () => {
  it("says when to come back", async () => {
    await start()
    const busy = new EnqueueError({ reason: "busy", message: "Full.", retryAfterMs: 2300 })
    server.stages.onSubmit = Effect.fail(busy)
    const refused = await server.post("/v1/completions", { prompt: "a", stream: true })
    assert.strictEqual(refused.status, 429)
    assert.strictEqual(refused.headers.get("retry-after"), "3")
    assert.strictEqual(await codeOf(refused), "server_busy")
  })

  it("that is a fault of the server tells nothing of it", async () => {
    await start()
    server.stages.onSubmit = Effect.die(new Error("secret path"))
    const failed = await server.post("/v1/completions", { prompt: "a" })
    assert.strictEqual(failed.status, 500)
    assert.notInclude(await failed.text(), "secret")
    assert.isTrue(server.lines.some((line) => line.message.includes("defect")))
  })
})

describe("the log line", () => {
  it("is one a request, with facts and without text", async () => {
    await start({ apiKeys: keys })
    await server.post("/v1/completions", { prompt: "my secret" }, bearer("sk-two"))
    await server.post("/v1/completions", { prompt: "my secret", n: 0 }, bearer("sk-two"))
    await get("/health")
    const requests = server.lines.filter((line) => line.message === "request")
    assert.deepInclude(requests[0]?.facts, {
      requestId: server.drafts[0]?.requestId,
      method: "POST",
      route: "/v1/completions",
      status: 200,
      tenant: "two",
      promptTokens: 10,
      completionTokens: 2,
    })
    assert.deepInclude(requests[1]?.facts, { status: 400, code: "invalid_value" })
    assert.lengthOf(requests, 2)
    assert.notInclude(JSON.stringify(server.lines), "secret")
    assert.notInclude(JSON.stringify(server.lines), "sk-two")
  })
})

describe("the request's timeout", () => {
  it("comes from its header, in seconds", async () => {
    await start()
    await server.post("/v1/completions", { prompt: "a" }, { "x-request-timeout": "2.5" })
    assert.strictEqual(server.drafts[0]?.timeoutMs, 2500)
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await server.post("/v1/completions", { prompt: "a" }, { traceparent: trace })
    assert.strictEqual(server.drafts[1]?.traceparent, trace)
  })
})

describe("the server's end", () => {
  it("lets open answers finish, and takes nobody new", async () => {
    await start()
    server.speaks = false
    const streamed = await server.post("/v1/completions", { prompt: "a", stream: true })
    const id = streamed.headers.get("x-request-id") ?? ""
    const stopped = server.stop()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const late = new RawConnection(server.port)
    await late.end()
    server.finish(id)
    assert.include(await streamed.text(), "[DONE]")
    await stopped
  })

  it("cuts what does not finish within the bound", async () => {
    await start({ drainMs: 100 })
    server.speaks = false
    const streamed = await server.post("/v1/completions", { prompt: "a", stream: true })
    const startedAt = performance.now()
    await server.stop()
    assert.isBelow(performance.now() - startedAt, 2000)
    const cut = await streamed.text().then(
      () => "whole",
      () => "cut",
    )
    assert.strictEqual(cut, "cut")
  })
})
