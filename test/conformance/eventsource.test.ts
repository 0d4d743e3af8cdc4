// The standard's EventSource (npm eventsource), unmodified, over a network that breaks: it comes
// back with Last-Event-ID, misses nothing, sees nothing twice, and stops when it is told 204.
import { afterEach, assert, it } from "vitest"
import { EventSource } from "eventsource"
import { type CuttingProxy, cuttingProxy } from "../support/conformance/cuttingProxy.ts"
import { useServer } from "../support/conformance/server.ts"

const server = useServer()
let proxy: CuttingProxy | null = null
const sources: Array<EventSource> = []
afterEach(async () => {
  sources.splice(0).forEach((source) => source.close())
  await proxy?.close()
  proxy = null
})

/** Starts a request and leaves it at once; its id. */
const startRequest = async (maxTokens: number) => {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Once", seed: 1, max_tokens: maxTokens, stream: true }),
  })
  assert.strictEqual(response.status, 200)
  await response.body?.cancel()
  return response.headers.get("x-request-id") ?? ""
}

/** Follows until the source closes for good. */
const follow = (url: string) =>
  new Promise<{ events: ReadonlyArray<string>; code: number | undefined }>((resolve) => {
    const events: Array<string> = []
    const source = new EventSource(url)
    sources.push(source)
    source.addEventListener("message", (event) => events.push(`${event.lastEventId} ${event.data}`))
    source.addEventListener("error", (event) => {
      if (source.readyState === EventSource.CLOSED) resolve({ events, code: event.code })
    })
  })

it("follows a stream over broken connections to its end, exactly", async () => {
  const id = await startRequest(80)
  proxy = await cuttingProxy(server.port, [2000, 3333])
  const { events, code } = await follow(`${proxy.url}/v1/requests/${id}/events?cursor=0`)
  assert.strictEqual(proxy.cuts(), 2)
  assert.strictEqual(code, 204)
  assert.match(events.at(-1) ?? "", /^81 \[DONE\]$/)
  const response = await fetch(`${server.url}/v1/requests/${id}/events`)
  const whole = [...(await response.text()).matchAll(/id: (\d+)\ndata: (.*)\n\n/g)]
  assert.deepStrictEqual(
    events,
    whole.map(([, cursor, data]) => `${cursor} ${data}`),
  )
}, 60_000)

it("is refused what is not there", async () => {
  const { events, code } = await follow(
    `${server.url}/v1/requests/req-0192f0c1a2b37c4d8e9f0a1b2c3d4e5f/events`,
  )
  assert.deepStrictEqual(events, [])
  assert.include([404, 410], code)
})
