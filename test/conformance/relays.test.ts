// One request, read from the process that took it and from another that only relays: in every
// dialect the bytes are the same, from the start and from the middle, while it runs and afterwards.
import { afterAll, assert, beforeAll, it } from "vitest"
import { rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const data = makeDataFolder()
let server: Sluice | null = null
let relay: Sluice | null = null
beforeAll(async () => {
  const flags = ["--engine", "scripted"]
  const env = { SLUICE_SCRIPTED_TOKENS_PER_SECOND: "60" }
  server = await startSluice({ data, flags, env })
  relay = await startSluice({ kind: "relay", data })
})
afterAll(async () => {
  await relay?.stop()
  await server?.stop()
  rmSync(data, { recursive: true, force: true })
})

const paths = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/ui/chat"] as const

const bodyOf = (path: (typeof paths)[number]) => {
  const length = { max_tokens: 90 }
  const message = { role: "user", content: "Tell me a tale." }
  switch (path) {
    case "/v1/chat/completions":
      return { ...length, messages: [message], stream: true }
    case "/v1/completions":
      return { ...length, prompt: "Once", logprobs: 2, stream: true }
    case "/v1/responses":
      return { input: "Once", max_output_tokens: 90, background: true, stream: true }
    case "/v1/ui/chat": {
      const parts = [{ type: "text", text: "Once" }]
      return { ...length, id: "chat", messages: [{ id: "m", role: "user", parts }] }
    }
  }
}

const textOf = async (url: string) => {
  const response = await fetch(url)
  assert.strictEqual(response.status, 200, url)
  return response.text()
}

/** What follows the frame with this cursor. */
const after = (stream: string, cursor: number) => {
  const blocks = stream.split("\n\n").filter((block) => block !== "")
  const rest = blocks.filter((block) => Number(/^id: (\d+)$/m.exec(block)?.[1]) > cursor)
  return rest.map((block) => `${block}\n\n`).join("")
}

it.each(paths)(
  "%s",
  async (path) => {
    const response = await fetch(`${server?.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(bodyOf(path)),
    })
    const id = response.headers.get("x-request-id")
    const events = `/v1/requests/${id}/events`
    const [first, live, middle] = await Promise.all([
      response.text(),
      textOf(`${relay?.url}${events}`),
      sleep(700).then(() => textOf(`${relay?.url}${events}?cursor=17`)),
    ])
    assert.isAbove(first.length, 1000)
    assert.strictEqual(live, first)
    assert.strictEqual(middle, after(first, 17))
    const last = Number([...first.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1])
    assert.isAtLeast(last, 90)
    for (const { url } of [server, relay].filter((one) => one !== null)) {
      assert.strictEqual(await textOf(`${url}${events}`), first)
      for (const cursor of [1, 2, 3, 30, last - 1, last]) {
        const rest = after(first, cursor)
        const again = await fetch(`${url}${events}?cursor=${cursor}`)
        assert.strictEqual(await again.text(), rest)
        assert.strictEqual(again.status, rest === "" ? 204 : 200)
      }
    }
  },
  30_000,
)
