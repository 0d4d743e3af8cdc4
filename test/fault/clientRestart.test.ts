// sluice/client over a server that is killed with -9 and started again, behind one address: each
// loop goes on as if nothing had been, over server-sent events and over WebSocket.
import { rmSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, it } from "vitest"
import { SluiceClient } from "../../src/client/client.ts"
import { cuttingProxy } from "../support/conformance/cuttingProxy.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"

const data = makeDataFolder()
afterAll(() => rmSync(data, { recursive: true, force: true }))

const kills = 3
const tokens = 240

const start = () => {
  const env = { SLUICE_SCRIPTED_TOKENS_PER_SECOND: "60" }
  return startSluice({ data, flags: ["--engine", "scripted"], env })
}

it("every loop ends with the whole text, whatever died meanwhile", async () => {
  let server: Sluice = await start()
  const proxy = await cuttingProxy(
    () => server.port,
    () => Number.POSITIVE_INFINITY,
  )
  const generations = Array.from({ length: 12 }, (_, i) => {
    const transport = i % 2 === 0 ? "sse" : "websocket"
    const client = new SluiceClient({
      url: proxy.url,
      transport,
      backoffMs: [50, 500],
      retries: 200,
    })
    return client.complete({ prompt: `Tale ${i}`, max_tokens: tokens })
  })
  const told = Promise.all(generations.map((generation) => generation.text()))
  for (let kill = 0; kill < kills; kill++) {
    await sleep(600 + 300 * kill)
    await server.kill()
    server = await start()
  }
  const texts = await told
  for (const [i, { requestId, usage, cursor }] of generations.entries()) {
    const response = await fetch(`${server.url}/v1/requests/${requestId}`)
    const whole: { choices: ReadonlyArray<{ text: string }>; cursor: number } = JSON.parse(
      await response.text(),
    )
    assert.strictEqual(texts[i], whole.choices[0]?.text)
    assert.strictEqual(cursor, whole.cursor)
    assert.strictEqual(usage?.completion_tokens, tokens)
  }
  await proxy.close()
  await server.stop()
}, 120_000)
