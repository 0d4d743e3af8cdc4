// Every route that makes a request heeds the same headers: Idempotency-Key, x-request-timeout,
// x-cancel-on-disconnect. A new one must be added here.
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { routes } from "../../src/api/routes.ts"
import { ApiServer } from "../support/api/ApiServer.ts"

const server = new ApiServer()
beforeAll(() => server.start())
afterAll(() => server.stop())

const bodies: Readonly<Record<string, object>> = {
  "/v1/completions": { prompt: "a" },
  "/v1/chat/completions": { messages: [{ role: "user", content: "a" }] },
  "/v1/responses": { input: "a" },
  "/v1/ui/chat": {
    id: "chat",
    messages: [{ id: "m", role: "user", parts: [{ type: "text", text: "a" }] }],
  },
}

const creating = routes.filter(({ method, generates }) => method === "POST" && generates)

const ask = async (path: string, headers: Readonly<Record<string, string>>) => {
  const body = bodies[path]
  assert.isDefined(body, `no body for ${path}`)
  const response = await server.post(path, body, headers)
  await response.text()
  assert.strictEqual(response.status, 200, path)
  const draft = server.drafts.at(-1)
  if (draft === undefined) throw new Error("nothing was submitted")
  return draft
}

describe("a call that makes a request", () => {
  it.each(creating.map(({ path }) => path))("at %s heeds its headers", async (path) => {
    const plain = await ask(path, {})
    assert.isNull(plain.idempotency)
    assert.isNull(plain.timeoutMs)
    assert.isFalse(plain.answer.cancelOnDisconnect)
    const headers = {
      "idempotency-key": "one",
      "x-request-timeout": "3",
      "x-cancel-on-disconnect": "true",
    }
    const first = await ask(path, headers)
    const again = await ask(path, headers)
    assert.strictEqual(first.timeoutMs, 3_000)
    assert.isTrue(first.answer.cancelOnDisconnect)
    assert.isNotNull(first.idempotency)
    assert.deepStrictEqual(again.idempotency, first.idempotency)
    // Another gateway would draw the same.
    assert.strictEqual(again.sampling.seed, first.sampling.seed)
  })

  it("is another one at another path", async () => {
    const digests = new Set<string | undefined>()
    for (const { path } of creating) {
      const { idempotency } = await ask(path, { "idempotency-key": "two" })
      digests.add(idempotency?.body)
    }
    assert.strictEqual(digests.size, creating.length)
  })
})
