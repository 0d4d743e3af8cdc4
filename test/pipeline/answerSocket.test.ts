// WS /v1/stream over real sockets: the seed's dialect, several requests on one socket, cancel,
// resume, broken messages, slow readers and many idle sockets.
import { connect } from "node:net"
import { afterEach, assert, describe, it } from "vitest"
import { WebSocket } from "ws"
import { Effect } from "effect"
import { EnqueueError } from "../../src/enqueue/Enqueue.ts"
import { AnswerServer, draftOf, until } from "../support/answer/AnswerServer.ts"
import { accepted, eventsOf } from "../support/answer/events.ts"

let server: AnswerServer
const sockets: Array<WebSocket> = []
afterEach(() => {
  sockets.splice(0).forEach((socket) => socket.terminate())
  return server.stop()
})

const start = async (config: ConstructorParameters<typeof AnswerServer>[0] = {}) => {
  server = await new AnswerServer(config).start()
  return server.stages
}

interface Message {
  readonly [field: string]: unknown
  readonly error?: { readonly code: string }
}

/** An open socket and what it was told so far. */
const open = async () => {
  const ws = new WebSocket(server.url.replace("http", "ws"))
  sockets.push(ws)
  const told: Array<Message> = []
  ws.on("message", (data) => told.push(JSON.parse(String(data))))
  await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject))
  return { ws, told, send: (message: unknown) => ws.send(JSON.stringify(message)) }
}

const prompt = { model: "tales", prompt: "Write a poem", stream: true }
const said = [{ texts: ["Once", " upon"] }, { texts: [" a"], finish: "stop" as const }]

/** Ids in the order in which the requests were accepted. */
const idsOf = () => [...server.stages.requests.keys()]
const eventsFor = (id: string, ending: "finished" | "cancelled" | null = "finished") =>
  eventsOf(accepted({ requestId: id }), said, ending)

describe("one request on a socket", () => {
  it("is answered in the seed's dialect", async () => {
    const stages = await start()
    const { told, send } = await open()
    send(prompt)
    await until(() => idsOf().length === 1)
    const [id = ""] = idsOf()
    stages.say(id, eventsFor(id))
    await until(() => told.length === 4)
    assert.deepStrictEqual(
      told.map(({ delta, index }) => [delta, index]),
      [
        ["Once", 0],
        [" upon", 1],
        [" a", 2],
        ["[DONE]", undefined],
      ],
    )
    assert.strictEqual(told[0]?.["request_id"], id)
    await until(() => stages.subscribers === 0)
  })

  it("makes a second one without an id wait for its own id, or its end", async () => {
    const stages = await start()
    const { told, send } = await open()
    send(prompt)
    send(prompt)
    await until(() => told.length === 1)
    assert.strictEqual(told[0]?.error?.code, "too_many_requests")
    const [id = ""] = idsOf()
    stages.say(id, eventsFor(id))
    await until(() => told.at(-1)?.["delta"] === "[DONE]")
    send(prompt)
    await until(() => idsOf().length === 2)
  })

  it("is an error message when it is refused, and the socket goes on", async () => {
    const stages = await start()
    stages.onSubmit = Effect.fail(
      new EnqueueError({ reason: "noWorkers", message: "Nobody runs it.", retryAfterMs: 0 }),
    )
    const { told, send } = await open()
    send(prompt)
    await until(() => told.length === 1)
    assert.strictEqual(told[0]?.error?.code, "no_workers")
    assert.strictEqual(stages.subscribers, 0)
    stages.onSubmit = Effect.void
    send(prompt)
    await until(() => idsOf().length === 1)
  })
})

describe("several requests on a socket", () => {
  it("carry the ids that the client gave, each named before its first token", async () => {
    const stages = await start()
    const { told, send } = await open()
    send({ ...prompt, id: "a" })
    send({ ...prompt, id: "b" })
    await until(() => told.length === 2)
    const [a = "", b = ""] = idsOf()
    assert.deepStrictEqual(told[0], { id: "a", request_id: a, type: "accepted", cursor: 0 })
    assert.deepStrictEqual(told[1], { id: "b", request_id: b, type: "accepted", cursor: 0 })
    const [forA, forB] = [eventsFor(a), eventsFor(b)]
    forA.forEach((event, i) => {
      stages.say(a, [event])
      stages.say(b, forB.slice(i, i + 1))
    })
    await until(() => told.length === 10)
    for (const id of ["a", "b"]) {
      const own = told.filter((message) => message["id"] === id).slice(1)
      assert.strictEqual(own.map(({ delta }) => delta).join(""), "Once upon a[DONE]")
    }
  })

  it("are bounded", async () => {
    const { limits } = await limitsWith(2)
    await start({ limits })
    const { told, send } = await open()
    for (const id of ["a", "b", "c"]) send({ ...prompt, id })
    await until(() => told.length === 3)
    assert.strictEqual(told[2]?.["id"], "c")
    assert.strictEqual(told[2]?.error?.code, "too_many_requests")
  })

  it("end with the socket, and are cancelled only where they asked for it", async () => {
    const stages = await start()
    server.draft = draftOf(accepted({ answer: { cancelOnDisconnect: true } }))
    const { ws, send } = await open()
    send({ ...prompt, id: "a" })
    await until(() => idsOf().length === 1)
    server.draft = draftOf(accepted())
    send({ ...prompt, id: "b" })
    await until(() => idsOf().length === 2)
    ws.terminate()
    await until(() => stages.subscribers === 0)
    await until(() => stages.cancels.length > 0)
    assert.deepStrictEqual(
      stages.cancels.map(({ requestId }) => requestId),
      idsOf().slice(0, 1),
    )
  })
})

const limitsWith = async (socketRequestsMax: number) => {
  const { defaults } = await import("../../src/config/settings.ts")
  return { limits: { ...defaults().limits, socketRequestsMax } }
}

describe("cancel and resume", () => {
  it("cancels by the client's id or the request's, and says so", async () => {
    const stages = await start()
    const { told, send } = await open()
    send({ ...prompt, id: "a" })
    await until(() => told.length === 1)
    const [id = ""] = idsOf()
    send({ type: "cancel", id: "a" })
    send({ type: "cancel", request_id: id })
    await until(() => told.length === 3)
    assert.deepStrictEqual(told[1], {
      id: "a",
      request_id: id,
      type: "cancel",
      status: "cancelled",
    })
    assert.strictEqual(stages.cancels.length, 2)
    stages.say(id, eventsFor(id, "cancelled").slice(-1))
    await until(() => told.length === 5)
    assert.strictEqual(told[3]?.error?.code, "request_cancelled")
    assert.strictEqual(told[4]?.["delta"], "[DONE]")
  })

  it("goes on from a cursor on another socket, to the same text", async () => {
    const stages = await start()
    const first = await open()
    first.send(prompt)
    await until(() => idsOf().length === 1)
    const [id = ""] = idsOf()
    const events = eventsFor(id)
    stages.say(id, events.slice(0, 2))
    await until(() => first.told.length === 2)
    first.ws.terminate()
    const second = await open()
    second.send({ type: "resume", request_id: id, cursor: 1 })
    await until(() => second.told.length === 1)
    stages.say(id, events.slice(2))
    await until(() => second.told.length === 3)
    assert.strictEqual(second.told.map(({ delta }) => delta).join(""), " upon a[DONE]")
    second.send({ type: "resume", request_id: id, cursor: events.length, id: "again" })
    await until(() => second.told.length === 5)
    assert.strictEqual(second.told[4]?.["delta"], "[DONE]")
    second.send({ type: "resume", request_id: id, cursor: 99 })
    await until(() => second.told.length === 6)
    assert.strictEqual(second.told[5]?.error?.code, "cursor_ahead")
  })
})

describe("messages that make no sense", () => {
  it.each([
    ["an open object", "{", "invalid_json"],
    ["a number", "7", "invalid_value"],
    ["an array", "[]", "invalid_value"],
    ["an unknown type", '{"type":"dance"}', "invalid_value"],
    ["an id that is no text", '{"id":7}', "invalid_value"],
    ["a long id", `{"id":"${"x".repeat(129)}"}`, "invalid_value"],
    ["a resume of nothing", '{"type":"resume"}', "missing_required_parameter"],
    ["a resume of no request", '{"type":"resume","request_id":"x"}', "request_not_found"],
    ["a cursor below 0", '{"type":"resume","request_id":"x","cursor":-1}', "invalid_value"],
    ["a cancel of nothing", '{"type":"cancel","id":"nobody"}', "invalid_value"],
    ["deep nesting", "[".repeat(100_000) + "]".repeat(100_000), "invalid_json"],
  ])("%s is an error", async (_, text, code) => {
    await start()
    const { ws, told, send } = await open()
    ws.send(text)
    await until(() => told.length === 1)
    assert.strictEqual(told[0]?.error?.code, code)
    send(prompt)
    await until(() => idsOf().length === 1)
  })

  it("binary ones are refused, oversized and non-UTF-8 ones close the socket", async () => {
    await start()
    const { ws, told } = await open()
    ws.send(Buffer.from([1, 2, 3]))
    await until(() => told.length === 1)
    assert.strictEqual(told[0]?.error?.code, "invalid_json")
    const closed = (socket: WebSocket) =>
      new Promise((resolve) => socket.once("close", (code) => resolve(code)))
    ws.send("x".repeat(5 << 20))
    assert.strictEqual(await closed(ws), 1009)
    const other = await open()
    other.ws.send(Buffer.from([0xc3, 0x28]), { binary: false })
    assert.strictEqual(await closed(other.ws), 1007)
  })
})

describe("many and slow sockets", () => {
  it("a slow one pauses its requests and loses nothing", async () => {
    const stages = await start()
    stages.deliveryMax = 50
    const { ws, told, send } = await open()
    send({ ...prompt, id: "a" })
    await until(() => told.length === 1)
    ws.pause()
    const [id = ""] = idsOf()
    const many = eventsOf(accepted({ requestId: id }), [
      { texts: Array.from({ length: 20_000 }, () => "x".repeat(1000)), finish: "length" },
    ])
    let at = 0
    const timer = setInterval(() => stages.say(id, many.slice(at, (at += 2000))), 5)
    await until(() => at >= many.length)
    clearInterval(timer)
    assert.isBelow(stages.taken(id), many.length / 2)
    ws.resume()
    await until(() => told.length === many.length + 1)
    assert.deepStrictEqual(
      told.slice(1).map(({ cursor }) => cursor),
      many.map((event) => event.number),
    )
  })

  it("1,000 idle ones are open and answered, and are told when the server stops", async () => {
    await start()
    const many = await Promise.all(Array.from({ length: 1000 }, () => open()))
    const one = many[500]
    one?.send(prompt)
    await until(() => idsOf().length === 1)
    assert.strictEqual(many.filter(({ ws }) => ws.readyState === WebSocket.OPEN).length, 1000)
    let goingAway = 0
    for (const { ws } of many) ws.on("close", (code) => (goingAway += code === 1001 ? 1 : 0))
    await server.stop()
    await until(() => goingAway === 1000)
  })

  it("one that never answers a ping is cut off", async () => {
    await start({ heartbeat: { mode: "comment", everyMs: 100 } })
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    socket.write(
      "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n" +
        "sec-websocket-version: 13\r\nsec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n",
    )
    socket.resume()
    const answering = await open()
    await new Promise((resolve) => socket.once("close", resolve))
    assert.strictEqual(answering.ws.readyState, WebSocket.OPEN)
  })
})
