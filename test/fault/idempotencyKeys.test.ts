// The same call under one Idempotency-Key, to gateways that are processes of their own, at once and
// one after another, over kill -9 and over a WebSocket: one request, and always the same bytes.
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { rmSync } from "node:fs"
import { WebSocket } from "ws"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const data = makeDataFolder()
const flags = ["--engine", "scripted"]
const running: Array<Sluice> = []

const start = async (kind: "serve" | "gateway") => {
  const server = await startSluice({ kind, data, flags: kind === "serve" ? flags : [] })
  running.push(server)
  return server
}

beforeAll(async () => {
  await start("serve")
  await start("gateway")
}, 60_000)

afterAll(async () => {
  await Promise.all(running.map(({ stop }) => stop()))
  rmSync(data, { recursive: true, force: true })
}, 30_000)

const body = { prompt: "Once upon a time", max_tokens: 40, stream: true, temperature: 1 }

const ask = async ({ url }: Sluice, key: string, asked: object = body) => {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify(asked),
  })
  const { status, headers } = response
  return {
    status,
    id: headers.get("x-request-id"),
    isReplay: headers.get("idempotent-replayed") === "true",
    text: await response.text(),
  }
}

const on = (index: number): Sluice => {
  const server = running[index]
  if (server === undefined) throw new Error("no such server")
  return server
}

describe("Idempotency-Key", () => {
  it("gives doubles on two gateways one request and the same bytes, from the start", async () => {
    const answers = await Promise.all([0, 1, 0, 1].map((index) => ask(on(index), "doubles")))
    assert.strictEqual(new Set(answers.map(({ id }) => id)).size, 1)
    assert.strictEqual(new Set(answers.map(({ text }) => text)).size, 1)
    assert.deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.include(answers[0]?.text, "data: [DONE]")
    const spelled = Object.fromEntries(Object.entries(body).toReversed())
    const later = await ask(on(1), "doubles", spelled)
    assert.deepStrictEqual(later, { ...answers[0]!, isReplay: true })
    const other = await ask(on(0), "another key")
    assert.notStrictEqual(other.id, later.id)
    assert.isFalse(other.isReplay)
  })

  it("answers a whole answer again", async () => {
    const whole = { ...body, stream: false }
    const [first, again] = [await ask(on(0), "whole", whole), await ask(on(1), "whole", whole)]
    assert.strictEqual(first.text, again.text)
    assert.isTrue(again.isReplay)
  })

  it("refuses the key for another body with 422, and a key that is none with 400", async () => {
    await ask(on(0), "reused")
    for (const index of [0, 1]) {
      const refused = await ask(on(index), "reused", { ...body, max_tokens: 41 })
      assert.strictEqual(refused.status, 422)
      assert.strictEqual(JSON.parse(refused.text).error.code, "idempotency_key_reused")
    }
    assert.strictEqual((await ask(on(0), "k".repeat(256))).status, 400)
  })

  it("holds over the death of the gateway that was asked", async () => {
    const first = await ask(on(1), "survives")
    await on(1).kill()
    running.pop()
    const revived = await start("gateway")
    assert.deepStrictEqual(await ask(revived, "survives"), { ...first, isReplay: true })
  }, 60_000)

  it("is a field of a WebSocket's message too", async () => {
    const message = { prompt: "Once", max_tokens: 12, idempotency_key: "socket" }
    const messages = async (index: number, id: string) => {
      const ws = new WebSocket(`${on(index).url.replace("http", "ws")}/v1/stream`)
      await new Promise((resolve) => ws.once("open", resolve))
      const all: Array<Record<string, unknown>> = []
      const done = new Promise<void>((resolve) =>
        ws.on("message", (bytes) => {
          const parsed: Record<string, unknown> = JSON.parse(String(bytes))
          all.push(parsed)
          if (parsed["delta"] === "[DONE]" || parsed["error"] !== undefined) resolve()
        }),
      )
      ws.send(JSON.stringify({ ...message, id }))
      await done
      ws.close()
      return all.map(({ id: _, ...rest }) => rest)
    }
    const first = await messages(0, "a")
    assert.deepStrictEqual(await messages(1, "b"), first)
    assert.strictEqual(first.length, 14)
  })
})
