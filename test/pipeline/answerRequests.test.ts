// A request after it was made: looking at it, going on with its events from a cursor, cancelling
// it.
import { afterEach, assert, describe, it } from "vitest"
import { EventSource } from "eventsource"
import type { RequestAccepted } from "../../schemas/types.ts"
import type { RequestBody } from "../../src/api/answer/requestBody.ts"
import { AnswerServer, until } from "../support/answer/AnswerServer.ts"
import { accepted, eventsOf, requestId } from "../support/answer/events.ts"

let server: AnswerServer
afterEach(() => server.stop())

type Settings = ConstructorParameters<typeof AnswerServer>[0]

/** A server that knows one request with these events. */
const withRequest = async (
  request: RequestAccepted,
  events: ReturnType<typeof eventsOf>,
  config: Settings = {},
) => {
  server = await new AnswerServer(config).start()
  server.stages.requests.set(request.requestId, request)
  server.stages.say(request.requestId, events)
  return server.stages
}

const request = accepted()
const said = [{ texts: ["Once", "", " upon", " a"], finish: "stop" as const }]
const events = eventsOf(request, said)
const eventsUrl = (query = "") => `${server.url}/${requestId}/events${query}`
const look = async (method = "GET"): Promise<RequestBody> => {
  const response = await fetch(`${server.url}/${requestId}`, { method })
  assert.strictEqual(response.status, 200)
  return JSON.parse(await response.text())
}
const statusOf = async (query: string, headers: Record<string, string> = {}) =>
  (await fetch(eventsUrl(query), { headers })).status

describe("going on with a request's events", () => {
  it("gives the same suffix from every cursor, byte for byte (invariant 5)", async () => {
    await withRequest(request, events)
    const whole = await (await fetch(eventsUrl())).text()
    const blocks = whole.split(/(?<=\n\n)/)
    for (const cursor of [0, 1, 2, 3, 4]) {
      const expected = blocks.filter((block) => Number(/^id: (\d+)/.exec(block)?.[1]) > cursor)
      const suffix = await (await fetch(eventsUrl(`?cursor=${cursor}`))).text()
      assert.strictEqual(suffix, expected.join(""))
      const headers = { "last-event-id": String(cursor) }
      assert.strictEqual(await (await fetch(eventsUrl(), { headers })).text(), suffix)
    }
  })

  it("keeps text offsets right where a resume needs the events before", async () => {
    const scored = accepted({ sampling: { logprobs: 0 } })
    const all = eventsOf(scored, [{ texts: ["a", "b", "c"], finish: "stop", scored: true }])
    await withRequest(scored, all)
    const whole = await (await fetch(eventsUrl())).text()
    const suffix = await (await fetch(eventsUrl("?cursor=2"))).text()
    assert.isTrue(whole.endsWith(suffix))
    assert.match(suffix, /"text_offset":\[10\]/)
  })

  it("takes Last-Event-ID before the query, since EventSource repeats its first URL", async () => {
    await withRequest(request, events)
    const response = await fetch(eventsUrl("?cursor=0"), { headers: { "last-event-id": "4" } })
    assert.strictEqual(await response.text(), "id: 5\ndata: [DONE]\n\n")
  })

  it("answers 204 once the end was delivered, 400 past it", async () => {
    await withRequest(request, events)
    assert.strictEqual(await statusOf("?cursor=5"), 204)
    assert.strictEqual(await statusOf("", { "last-event-id": "5" }), 204)
    assert.strictEqual(await statusOf("?cursor=6"), 400)
  })

  it.each(["-1", "1.5", "x", "1e3", "9999999999999999", "1%00"])(
    "refuses the cursor %s",
    async (cursor) => {
      await withRequest(request, events)
      assert.strictEqual(await statusOf(`?cursor=${cursor}`), 400)
    },
  )

  it("refuses an id that is none, and one that nobody knows", async () => {
    await withRequest(request, events)
    for (const id of ["req-1", `${requestId}0`, requestId.replace("0192", "0193")]) {
      assert.strictEqual((await fetch(`${server.url}/${id}/events`)).status, 404)
      assert.strictEqual((await fetch(`${server.url}/${id}`)).status, 404)
      assert.strictEqual((await fetch(`${server.url}/${id}`, { method: "DELETE" })).status, 404)
    }
  })

  it("shows another dialect where asked to, and refuses one that is none", async () => {
    await withRequest(request, events)
    assert.match(await (await fetch(eventsUrl("?dialect=chat"))).text(), /chat\.completion\.chunk/)
    assert.match(await (await fetch(eventsUrl("?dialect=stream"))).text(), /"delta":"Once"/)
    assert.strictEqual(await statusOf("?dialect=morse"), 400)
  })

  it("serves EventSource: it reconnects where it stood and stops when all is said", async () => {
    const stages = await withRequest(request, events.slice(0, 1))
    const got: Array<string> = []
    const statuses: Array<number> = []
    const source = new EventSource(eventsUrl(), {
      fetch: async (url, init) => {
        const response = await fetch(url, init)
        statuses.push(response.status)
        return response
      },
    })
    source.addEventListener("message", (event) => got.push(`${event.lastEventId} ${event.data}`))
    await until(() => got.length === 1)
    server.dropConnections()
    stages.say(requestId, events.slice(1))
    for (let i = 0; i < 10 && statuses.at(-1) !== 204; i++) await until(() => true).then(pause)
    assert.strictEqual(source.readyState, EventSource.CLOSED)
    assert.deepStrictEqual(
      got.map((line) => line.split(" ", 1)[0]),
      ["1", "3", "4", "5"],
    )
    assert.strictEqual(statuses.at(-1), 204)
  }, 15_000)
})

const pause = () => new Promise((resolve) => setTimeout(resolve, 1000))

describe("looking at a request", () => {
  it("shows its state, its text so far and its cursor", async () => {
    await withRequest(request, events)
    const body = await look()
    assert.strictEqual(body.status, "finished")
    assert.strictEqual(body.cursor, 5)
    assert.strictEqual(body.choices[0]?.text, "Once upon a")
    assert.deepStrictEqual(body.usage.prompt_tokens_details, { cached_tokens: 2 })
    assert.isNull(body.error)
  })

  it("says why it did not finish", async () => {
    await withRequest(request, eventsOf(request, said, "expired"))
    const body = await look()
    assert.strictEqual(body.error?.code, "deadline_exceeded")
  })
})

describe("cancelling a request", () => {
  it("is acknowledged, again and again", async () => {
    const stages = await withRequest(request, events.slice(0, 2))
    for (let i = 0; i < 2; i++) {
      assert.strictEqual((await look("DELETE")).status, "cancelled")
    }
    assert.deepStrictEqual(stages.cancels[0], { requestId, by: "client" })
  })

  it("changes nothing about one that has ended", async () => {
    const stages = await withRequest(request, events)
    assert.strictEqual((await look("DELETE")).status, "finished")
    assert.deepStrictEqual(stages.cancels, [])
  })
})

describe("a request of another tenant", () => {
  it("is as unknown as one that never was", async () => {
    const apiKeys = [{ key: "k", tenant: "a", requestsPerSecond: 100, burst: 200 }]
    const stages = await withRequest(accepted({ tenant: "a" }), events, { apiKeys })
    server.tenant = "b"
    for (const [path, method] of [
      ["", "GET"],
      ["", "DELETE"],
      ["/events", "GET"],
    ] as const) {
      const response = await fetch(`${server.url}/${requestId}${path}`, { method })
      assert.strictEqual(response.status, 404)
    }
    assert.deepStrictEqual(stages.cancels, [])
    server.tenant = "a"
    assert.strictEqual((await fetch(`${server.url}/${requestId}`)).status, 200)
  })
})
