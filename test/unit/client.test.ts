// sluice/client against sockets of the test's own: what only a stubborn network does.
import { assert, it } from "vitest"
import { SluiceClient } from "../../src/client/client.ts"

const requestId = "req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5f"

/** Says everything from the cursor on at once, faster than any reader. */
const flood = (total: number) => {
  const asked: Array<number> = []
  class Flood extends EventTarget {
    #isClosed = false

    constructor() {
      super()
      queueMicrotask(() => this.dispatchEvent(new Event("open")))
    }

    send(text: string): void {
      const from: number = JSON.parse(text).cursor ?? 0
      asked.push(from)
      for (let cursor = from + 1; cursor <= total && !this.#isClosed; cursor++) {
        this.#say({ request_id: requestId, delta: "x", index: cursor - 1, cursor })
      }
      this.#say({ request_id: requestId, delta: "[DONE]", cursor: total + 1 })
    }

    close(): void {
      this.#isClosed = true
    }

    #say(message: object): void {
      if (this.#isClosed) return
      this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }))
    }
  }
  return { asked, WebSocket: Flood }
}

it("holds so many messages for a slow reader, then comes back for the rest", async () => {
  const { asked, WebSocket } = flood(10_000)
  const client = new SluiceClient({
    url: "http://localhost",
    transport: "websocket",
    // The client uses nothing of a WebSocket but this.
    WebSocket: Object.assign(WebSocket, globalThis.WebSocket),
  })
  let cursor = 0
  for await (const piece of client.complete({ prompt: "x" })) {
    assert.strictEqual(piece.cursor, cursor + 1)
    cursor = piece.cursor
  }
  assert.strictEqual(cursor, 10_000)
  assert.deepStrictEqual(asked, [0, 4096, 8192])
})

it("leaves a connection that is silent for too long", async () => {
  let asked = 0
  const silent = (url: string | URL | Request, init?: RequestInit) => {
    asked += 1
    const done = asked === 3 ? "id: 1\ndata: [DONE]\n\n" : null
    const stream = new ReadableStream({
      start: (controller) => {
        if (done === null) {
          init?.signal?.addEventListener("abort", () => controller.error(new Error("left")))
        } else {
          controller.enqueue(new TextEncoder().encode(done))
          controller.close()
        }
      },
    })
    return Promise.resolve(new Response(stream, { headers: { "x-request-id": requestId } }))
  }
  const options = { url: "http://localhost", fetch: silent, idleMs: 20 }
  const client = new SluiceClient({ ...options, backoffMs: [1, 2] })
  assert.strictEqual(await client.complete({ prompt: "x" }).text(), "")
  assert.strictEqual(asked, 3)
})
