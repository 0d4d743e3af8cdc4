// The bytes of a streamed answer on the connection: chunks are written past node's own response, so
// what node would have made sure of is checked here, on raw sockets.
import { connect } from "node:net"
import { afterEach, assert, it } from "vitest"
import { AnswerServer, draftOf, until } from "../support/answer/AnswerServer.ts"
import { accepted, eventsOf } from "../support/answer/events.ts"

let server: AnswerServer
afterEach(() => server.stop())

const ids = ["a", "b"].map((digit) => `req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5${digit}`)
const long = "é😀".repeat(20_000)
const said = [{ texts: ["Once", " upon", long] }, { texts: [" a"], finish: "stop" as const }]
const eventsFor = (requestId: string) => eventsOf(accepted({ requestId }), said)

const start = async () => {
  server = await new AnswerServer().start()
  return server.stages
}

const open = (text: string) => {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  const chunks: Array<Buffer> = []
  socket.on("data", (chunk) => chunks.push(chunk))
  socket.write(text)
  const closed = new Promise((resolve) => socket.once("close", resolve))
  return { socket, closed, bytes: () => Buffer.concat(chunks) }
}

const post = (version: string, more = "") => `POST / HTTP/${version}\r\nhost: x\r\n${more}\r\n`

/** The bodies of answers in chunked encoding, one after the other; throws where it is broken. */
const bodies = (bytes: Buffer): ReadonlyArray<string> => {
  const found: Array<string> = []
  let at = 0
  const line = () => {
    const end = bytes.indexOf("\r\n", at)
    if (end < 0) throw new Error(`no line ends after byte ${at}`)
    const text = bytes.toString("latin1", at, end)
    at = end + 2
    return text
  }
  while (at < bytes.length) {
    while (line() !== "");
    const body: Array<Buffer> = []
    for (let size = parseInt(line(), 16); size > 0; size = parseInt(line(), 16)) {
      body.push(bytes.subarray(at, at + size))
      at += size
      if (line() !== "") throw new Error(`a chunk does not end at byte ${at}`)
    }
    line()
    found.push(Buffer.concat(body).toString())
  }
  return found
}

const shown = (body: string) =>
  body
    .split("\n\n")
    .filter((block) => block.includes('"text"'))
    .map((block) => JSON.parse(block.replace(/^id: \d+\ndata: /, "")).choices[0].text)
    .join("")

it("chunks are exact, also of many bytes a character, and the connection goes on", async () => {
  const stages = await start()
  const { socket, bytes } = open("")
  for (const requestId of ids) {
    server.draft = { ...draftOf(accepted()), requestId }
    const before = bytes().length
    socket.write(post("1.1"))
    await until(() => stages.requests.has(requestId))
    for (const event of eventsFor(requestId)) {
      stages.say(requestId, [event])
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await until(() => bytes().subarray(before).toString("latin1").endsWith("\r\n0\r\n\r\n"))
  }
  const expected = said.flatMap(({ texts }) => texts).join("")
  assert.deepStrictEqual(bodies(bytes()).map(shown), [expected, expected])
  socket.destroy()
})

it("answers to pipelined requests keep their order, whichever ends first", async () => {
  const stages = await start()
  const [first = "", second = ""] = ids
  server.draft = { ...draftOf(accepted()), requestId: first }
  const { socket, closed, bytes } = open(post("1.1"))
  await until(() => stages.requests.has(first))
  server.draft = { ...draftOf(accepted()), requestId: second }
  socket.write(post("1.1", "connection: close\r\n"))
  await until(() => stages.requests.has(second))
  const [forFirst, forSecond] = [eventsFor(first), eventsFor(second)]
  for (let i = 0; i < forFirst.length; i++) {
    stages.say(second, forSecond.slice(i, i + 1))
    stages.say(first, forFirst.slice(i, i + 1))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await closed
  const [bodyOfFirst = "", bodyOfSecond = ""] = bodies(bytes())
  assert.include(bodyOfFirst, first)
  assert.notInclude(bodyOfFirst, second)
  assert.include(bodyOfSecond, second)
  assert.strictEqual(shown(bodyOfFirst), shown(bodyOfSecond))
})

it("a client of HTTP/1.0 gets the stream without chunks", async () => {
  const stages = await start()
  const { closed, bytes } = open(post("1.0"))
  await until(() => stages.requests.size === 1)
  const [requestId = ""] = stages.requests.keys()
  stages.say(requestId, eventsFor(requestId))
  await closed
  const [head = "", body = ""] = bytes().toString().split("\r\n\r\n")
  assert.notInclude(head.toLowerCase(), "transfer-encoding")
  assert.strictEqual(shown(body), said.flatMap(({ texts }) => texts).join(""))
})
