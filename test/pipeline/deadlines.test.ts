// A deadline is one instant, named by the body, the header, the key or the configuration, in that
// order; past it nothing is started, and the answer says what became of the request. The policy for
// clients that leave is found in the same order.
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../src/config/settings.ts"
import { AnswerServer, draftOf, until } from "../support/answer/AnswerServer.ts"
import { accepted as answered, eventsOf, requestId } from "../support/answer/events.ts"
import { ApiServer } from "../support/api/ApiServer.ts"
import { accepted } from "../support/generate.ts"
import { isEnded, makeWorld } from "../support/workerWorld.ts"

let stop: () => Promise<void> = async () => {}
afterEach(() => stop())

const serve = async (config: ConstructorParameters<typeof ApiServer>[0]) => {
  const server = await new ApiServer(config).start()
  stop = () => server.stop()
  return server
}

const keys = [
  { key: "sk-slow", tenant: "slow", requestsPerSecond: 9, burst: 9, requestTimeoutMs: 90_000 },
  { key: "sk-plain", tenant: "plain", requestsPerSecond: 9, burst: 9 },
]
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

describe("a request's deadline", () => {
  it("is the body's, else the header's, else its key's, else the configured one", async () => {
    const server = await serve({ apiKeys: keys })
    const ask = async (more: object, headers: Record<string, string>) => {
      const body = { prompt: "a", ...more }
      assert.strictEqual((await server.post("/v1/completions", body, headers)).status, 200)
      return server.drafts.at(-1)?.timeoutMs
    }
    const header = { "x-request-timeout": "2.5" }
    assert.strictEqual(
      await ask({ request_timeout: 1.5 }, { ...bearer("sk-slow"), ...header }),
      1500,
    )
    assert.strictEqual(await ask({}, { ...bearer("sk-slow"), ...header }), 2500)
    assert.strictEqual(await ask({}, bearer("sk-slow")), 90_000)
    assert.isNull(await ask({}, bearer("sk-plain")))
    for (const request_timeout of [0, -1, 86_401, "1"]) {
      const wrong = { prompt: "a", request_timeout }
      const refused = await server.post("/v1/completions", wrong, bearer("sk-plain"))
      assert.strictEqual(refused.status, 400, String(request_timeout))
    }
  })

  it("ends a whole answer with 504, the error and the tokens so far", async () => {
    const server = await new AnswerServer().start()
    stop = () => server.stop()
    const { stages } = server
    server.draft = draftOf(answered({ answer: { stream: false } }))
    const response = fetch(server.url, { method: "POST" })
    await until(() => stages.requests.size === 1)
    stages.say(requestId, eventsOf(answered(), [{ texts: ["Once", " upon"] }], "expired"))
    const { status, body } = await response.then(async (given) => ({
      status: given.status,
      body: await given.json(),
    }))
    assert.strictEqual(status, 504)
    assert.deepInclude(body, { id: requestId, object: "text_completion" })
    assert.nestedPropertyVal(body, "error.code", "deadline_exceeded")
    assert.nestedPropertyVal(body, "choices[0].text", "Once upon")
    assert.nestedPropertyVal(body, "choices[0].finish_reason", null)
    assert.nestedPropertyVal(body, "usage.completion_tokens", 2)
    const prompt = answered().prompts[0]?.length ?? 0
    assert.nestedPropertyVal(body, "usage.prompt_tokens", prompt)
  })

  it.live("lets nothing start when it is past, whoever comes to the request then", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld
      const late = accepted({}, { deadline: Date.now() - 1 })
      const half = accepted({}, { deadline: Date.now() - 1 })
      yield* world.send(late)
      yield* world.send(half)
      const claim = { kind: "AttemptClaimed", attempt: 1, worker: "dead" } as const
      yield* world.tokens.append(world.tokens.partitionOf(half.requestId), "dead", [
        { ...claim, requestId: half.requestId },
      ])
      const { scripted } = yield* world.worker()
      let submitted = 0
      const { submit } = scripted.engine
      Object.assign(scripted.engine, {
        submit: (sequence: Parameters<typeof submit>[0]) => (submitted++, submit(sequence)),
      })
      const states = [
        yield* world.until(late.requestId, isEnded),
        yield* world.until(half.requestId, isEnded),
      ]
      for (const { terminal } of states) assert.strictEqual(terminal?.outcome, "expired")
      const alive = accepted({ maxTokens: 2 })
      yield* world.send(alive)
      yield* world.until(alive.requestId, isEnded)
      assert.strictEqual(submitted, 1)
    }),
  )
})

describe("what a client's leaving means", () => {
  it("is what the body says, else the header, else the configuration", async () => {
    const limits = { ...defaults().limits, cancelOnDisconnect: true }
    const server = await serve({ limits })
    const ask = async (more: object, headers: Record<string, string> = {}) => {
      await server.post("/v1/completions", { prompt: "a", ...more }, headers)
      return server.drafts.at(-1)?.answer.cancelOnDisconnect
    }
    const header = { "x-cancel-on-disconnect": "false" }
    assert.isTrue(await ask({}))
    assert.isFalse(await ask({}, header))
    assert.isTrue(await ask({ cancel_on_disconnect: true }, header))
    const wrong = { "x-cancel-on-disconnect": "perhaps" }
    assert.strictEqual((await server.post("/v1/completions", { prompt: "a" }, wrong)).status, 400)
  })
})
