// Cancel from anywhere: another gateway, another kind of connection, twice, at once. Once it is
// acknowledged no relay ever shows a further token, and every relay shows the same.
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { rmSync } from "node:fs"
import { WebSocket } from "ws"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const data = makeDataFolder()
const running: Array<Sluice> = []

beforeAll(async () => {
  const flags = ["--engine", "scripted", "--scripted-tokens-per-second", "100"]
  running.push(await startSluice({ kind: "serve", data, flags }))
  running.push(await startSluice({ kind: "gateway", data }))
}, 60_000)

afterAll(async () => {
  await Promise.all(running.map(({ stop }) => stop()))
  rmSync(data, { recursive: true, force: true })
}, 30_000)

const urlOf = (index: number) => running[index]?.url ?? ""

/** A long answer under way: its id, and all of its text when it is over. */
const begin = async (index: number) => {
  const response = await fetch(`${urlOf(index)}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Once", max_tokens: 900, stream: true, ignore_eos: true }),
  })
  const id = response.headers.get("x-request-id") ?? ""
  const reader = (response.body ?? new ReadableStream()).getReader()
  const decoder = new TextDecoder()
  let text = ""
  const read = async () => {
    const { done, value } = await reader.read()
    text += decoder.decode(value, { stream: true })
    return done
  }
  while (text.split("\n\n").length < 8) await read()
  const whole = (async () => {
    while (!(await read())) continue
    return text
  })()
  return { id, whole }
}

interface Body {
  readonly status: string
  readonly cursor: number
}

const cancel = async (index: number, id: string) => {
  const response = await fetch(`${urlOf(index)}/v1/requests/${id}`, { method: "DELETE" })
  const body = (await response.json()) as Body
  return { status: response.status, body }
}

const replay = async (index: number, id: string) =>
  (await fetch(`${urlOf(index)}/v1/requests/${id}/events?cursor=0`)).text()

const lastCursor = (text: string) => Number(/id: (\d+)\n[^\n]*\n\n$/.exec(text)?.[1])

describe("a cancel", () => {
  it("by another gateway is acknowledged when nothing more can come", async () => {
    const { id, whole } = await begin(0)
    const { status, body } = await cancel(1, id)
    assert.strictEqual(status, 200)
    assert.strictEqual(body.status, "cancelled")
    const replays = [await replay(0, id), await replay(1, id)]
    const text = await whole
    assert.include(text, `"code":"request_cancelled"`)
    for (const one of replays) assert.strictEqual(one, text)
    assert.strictEqual(lastCursor(text), body.cursor)
    const again = await cancel(0, id)
    assert.deepStrictEqual([again.status, again.body], [200, body])
  })

  it("by many at once is one cancel", async () => {
    const { id, whole } = await begin(1)
    const acks = await Promise.all([0, 1, 0, 1, 0, 1].map((index) => cancel(index, id)))
    const text = await whole
    for (const { status, body } of acks) {
      assert.deepStrictEqual([status, body.status], [200, "cancelled"])
      assert.strictEqual(body.cursor, lastCursor(text))
    }
    assert.strictEqual(text.split("request_cancelled").length, 2)
  })

  it("by a WebSocket of another gateway names the request", async () => {
    const { id, whole } = await begin(0)
    const ws = new WebSocket(`${urlOf(1).replace("http", "ws")}/v1/stream`)
    await new Promise((resolve) => ws.once("open", resolve))
    const answer = new Promise<string>((resolve) =>
      ws.once("message", (bytes) => resolve(String(bytes))),
    )
    ws.send(JSON.stringify({ type: "cancel", request_id: id }))
    assert.deepInclude(JSON.parse(await answer), { request_id: id, status: "cancelled" })
    ws.close()
    assert.strictEqual(await replay(1, id), await whole)
  })

  it("after the end changes nothing", async () => {
    const response = await fetch(`${urlOf(0)}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "Once", max_tokens: 3, ignore_eos: true }),
    })
    const id = response.headers.get("x-request-id") ?? ""
    const { body } = await cancel(1, id)
    assert.deepInclude(body, { status: "finished", cursor: 4 })
    const unknown = await cancel(0, "req-0192f0c1a2b37c4d8e5f60718293a4b5")
    assert.strictEqual(unknown.status, 404)
  })
})
