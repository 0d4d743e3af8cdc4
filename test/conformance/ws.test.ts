// A plain WebSocket client (npm ws) speaking the dialect of WS /v1/stream, over a whole server.
import { assert, it } from "vitest"
import { WebSocket } from "ws"
import { useServer } from "../support/conformance/server.ts"

const server = useServer()

interface Message {
  readonly delta?: string
  readonly index?: number
  readonly cursor?: number
  readonly id?: string
  readonly type?: string
  readonly request_id?: string
  readonly error?: { readonly code: string }
}

const open = async () => {
  const ws = new WebSocket(`${server.url.replace("http", "ws")}/v1/stream`)
  await new Promise((resolve, reject) => ws.once("open", resolve).once("error", reject))
  return ws
}

/** Sends one message and reads until `last` holds. */
const ask = (ws: WebSocket, message: unknown, last: (message: Message) => boolean) =>
  new Promise<ReadonlyArray<Message>>((resolve) => {
    const told: Array<Message> = []
    const listen = (data: unknown) => {
      const parsed: Message = JSON.parse(String(data))
      told.push(parsed)
      if (!last(parsed)) return
      ws.off("message", listen)
      resolve(told)
    }
    ws.on("message", listen)
    ws.send(typeof message === "string" ? message : JSON.stringify(message))
  })

const done = ({ delta }: Message) => delta === "[DONE]"

it("streams a completion delta by delta to the text of a whole answer", async () => {
  const body = { prompt: "Write a poem", seed: 3, max_tokens: 20 }
  const ws = await open()
  const told = await ask(ws, { ...body, stream: true }, done)
  ws.close()
  assert.deepStrictEqual(
    told.slice(0, -1).map(({ index }) => index),
    told.slice(0, -1).map((_, i) => i),
  )
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  })
  const whole: { choices: ReadonlyArray<{ text: string }> } = JSON.parse(await response.text())
  const text = told.slice(0, -1).map(({ delta }) => delta)
  assert.strictEqual(text.join(""), whole.choices[0]?.text)
})

it("goes on from a cursor after the socket broke", async () => {
  const first = await open()
  const body = { prompt: "x", seed: 4, max_tokens: 60, stream: true }
  const before = await ask(first, body, ({ cursor }) => cursor === 10)
  first.terminate()
  const second = await open()
  const resume = { type: "resume", request_id: before[0]?.request_id, cursor: 10 }
  const after = await ask(second, resume, done)
  second.close()
  const cursors = [...before, ...after].map(({ cursor }) => cursor)
  assert.deepStrictEqual(
    cursors,
    cursors.map((_, i) => i + 1),
  )
})

it("cancels a request among several on one socket", async () => {
  const ws = await open()
  const body = { prompt: "x", max_tokens: 400, stream: true }
  await ask(ws, { ...body, id: "a" }, ({ cursor }) => cursor === 5)
  const end = await ask(ws, { type: "cancel", id: "a" }, done)
  assert.isTrue(end.some(({ error }) => error?.code === "request_cancelled"))
  const again = await ask(ws, { ...body, max_tokens: 3, id: "a" }, done)
  assert.strictEqual(again.at(-1)?.cursor, 4)
  ws.close()
})

it("is told what is wrong, and the socket stays", async () => {
  const ws = await open()
  const told = async (message: unknown) => {
    const [first] = await ask(ws, message, ({ error }) => error !== undefined)
    return first?.error?.code
  }
  assert.strictEqual(await told("{"), "invalid_json")
  assert.strictEqual(await told({ prompt: "x", model: "nobody" }), "model_not_found")
  assert.strictEqual(await told({ prompt: 7 }), "invalid_value")
  assert.isTrue(done((await ask(ws, { prompt: "x", max_tokens: 1 }, done)).at(-1) ?? {}))
  ws.close()
})
