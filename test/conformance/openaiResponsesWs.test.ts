// OpenAI's own WebSocket client for responses (openai-node's ResponsesWS and its helper for lanes),
// unmodified, on WS /v1/responses.
import { afterEach, assert, it } from "vitest"
import OpenAI from "openai"
import { ResponsesWebSocketSession } from "openai/lib/responses/responses-websocket-session"
import { ResponsesWS } from "openai/resources/responses/ws"
import { useServer } from "../support/conformance/server.ts"

const server = useServer()
const client = () => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })
const sockets: Array<ResponsesWS> = []
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()))

const connect = async () => {
  const socket = new ResponsesWS(client(), { reconnect: null })
  sockets.push(socket)
  for await (const { type } of socket.stream()) if (type === "open") break
  return socket
}

const limits = { maxLanes: 8, maxBufferedEvents: 10_000, maxBufferedBytes: 10_000_000 }

const modelOf = async () => {
  const { data } = await client().models.list()
  return data[0]?.id ?? ""
}

const base = async () => ({ model: await modelOf(), input: "Tell me a tale.", temperature: 0 })

it("answers on one lane after another what HTTP answers", async () => {
  const body = { ...(await base()), max_output_tokens: 12 }
  const whole = await client().responses.create(body)
  const socket = await connect()
  const lane = new ResponsesWebSocketSession(socket, limits).lane()
  for (let turn = 0; turn < 2; turn++) {
    lane.create(body)
    const response = await lane.finalResponse()
    assert.strictEqual(response.status, "incomplete")
    assert.strictEqual(response.output_text, whole.output_text)
  }
})

it("answers several lanes at once, and each goes on from its own response", async () => {
  const body = { ...(await base()), max_output_tokens: 30 }
  const session = new ResponsesWebSocketSession(await connect(), limits)
  const lanes = ["a", "b", "c"].map((name) => session.lane(name))
  for (const lane of lanes) lane.create(body)
  const first = await Promise.all(lanes.map((lane) => lane.finalResponse()))
  assert.strictEqual(new Set(first.map(({ id }) => id)).size, 3)
  lanes.forEach((lane, i) =>
    lane.create({ ...body, input: "And?", previous_response_id: first[i]?.id ?? null }),
  )
  const second = await Promise.all(lanes.map((lane) => lane.finalResponse()))
  second.forEach((response, i) => {
    assert.strictEqual(response.previous_response_id, first[i]?.id)
    assert.isAbove(response.usage?.input_tokens ?? 0, first[i]?.usage?.input_tokens ?? 0)
  })
})

it("is told what is wrong on the lane where it is, and the socket stays", async () => {
  const body = { ...(await base()), max_output_tokens: 3 }
  const session = new ResponsesWebSocketSession(await connect(), limits)
  const wrong = session.lane("wrong")
  wrong.create({ ...body, temperature: 9 })
  const event = await wrong.receive()
  assert.strictEqual(event.type, "error")
  assert.deepInclude(event, { status: 400, stream_id: "wrong" })
  assert.nestedPropertyVal(event, "error.param", "temperature")
  const right = session.lane("right")
  right.create(body)
  assert.strictEqual((await right.finalResponse()).usage?.output_tokens, 3)
})

it("goes on over HTTP where the socket broke", async () => {
  const body = { ...(await base()), max_output_tokens: 60 }
  const socket = await connect()
  const lane = new ResponsesWebSocketSession(socket, limits).lane()
  lane.create(body)
  const seen: Array<unknown> = []
  let id = ""
  while (seen.length < 20) {
    const event = await lane.receive()
    if (seen.length === 0) id = JSON.parse(JSON.stringify(event)).response.id
    seen.push(event)
  }
  socket.close()
  const rest = await client().responses.retrieve(id, { stream: true, starting_after: 19 })
  for await (const event of rest) seen.push(event)
  const whole: Array<unknown> = []
  for await (const event of await client().responses.retrieve(id, { stream: true }))
    whole.push(event)
  assert.deepStrictEqual(seen, whole)
})
