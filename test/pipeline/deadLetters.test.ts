// `sluice dead-letters` as an operator runs it, on a data folder beside whoever else has it open:
// what it prints of letters, what it keeps to itself, and a replay that a worker then runs.
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { codecs } from "../../schemas/codec.ts"
import { deadLettersCommand } from "../../src/cli/deadLetters.ts"
import { defaults } from "../../src/config/settings.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { Log } from "../../streams/Log.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { modelTopics, sharedTopics } from "../../streams/topics.ts"
import { isRequestId } from "../../streams/requestId.ts"
import { acceptedRequest } from "../support/enqueue.ts"
import { topicOptions } from "../support/relay.ts"
import { makeDataFolder } from "../support/server.ts"

const data = makeDataFolder()
const config = { ...defaults(), data }

const layerLogs = Layer.mergeAll(DeadLetterLog.layer, RequestLog.layer).pipe(
  Layer.provideMerge(embeddedLog({ folder: join(data, "log"), mapBytes: config.log.mapBytes })),
)
const withLogs = <A, E>(work: Effect.Effect<A, E, Log | DeadLetterLog | RequestLog>) =>
  Effect.runPromise(Effect.provide(work, layerLogs))

const requestId = "req-0192f0c1a2b37c4d8e5f60718293a4b5"
const request = acceptedRequest({
  requestId,
  tenant: "acme\x1b[2J",
  acceptedAt: 1,
  deadline: 60_001,
})
const letter = {
  requestId,
  deadAt: Date.UTC(2026, 0, 2),
  attempts: 5,
  code: "attempts_exhausted",
  message: "Given up after 5 attempts that ended without a token.",
  request: codecs.requestAccepted.encode(request),
}
const damaged = {
  ...letter,
  requestId: "",
  attempts: 0,
  code: "damaged_record",
  request: Uint8Array.of(1, 2),
}

/** What it prints, and its exit code. */
const run = async (action: string, name: string | null = null, withPrompts = false) => {
  const out: Array<string> = []
  const err: Array<string> = []
  const output = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) }
  const code = await deadLettersCommand(config, { action, name, withPrompts }, output)
  return { code, out: out.join("\n"), err: err.join("\n") }
}

beforeAll(async () => {
  const none = await run("list")
  assert.strictEqual(none.code, 1)
  assert.include(none.err, "there is no log in")
  await withLogs(
    Effect.gen(function* () {
      const log = yield* Log
      yield* log.createTopics([...sharedTopics(topicOptions)])
      yield* log.createTopics(modelTopics("tales-11m", "1", topicOptions))
    }),
  )
  assert.strictEqual((await run("list")).out, "There are no dead letters.")
  await withLogs(
    Effect.gen(function* () {
      const letters = yield* DeadLetterLog
      yield* Effect.forEach([letter, damaged, letter], letters.append)
    }),
  )
})

afterAll(() => rmSync(data, { recursive: true, force: true }))

describe("sluice dead-letters", () => {
  it("lists each request once, with its claims and cause", async () => {
    const { code, out } = await run("list")
    assert.strictEqual(code, 0)
    const lines = out.split("\n").map((line) => line.split(/ {2,}/))
    assert.deepStrictEqual(lines, [
      ["OFFSET", "GIVEN UP", "REQUEST", "MODEL", "CLAIMS", "CAUSE"],
      ["1", "2026-01-02T00:00:00.000Z", "(no request)", "-", "0", "damaged_record"],
      ["2", "2026-01-02T00:00:00.000Z", requestId, "tales-11m 1 default", "5", letter.code],
    ])
  })

  it("shows one without its prompts, and with them where asked", async () => {
    const plain = await run("show", requestId)
    assert.strictEqual(plain.code, 0)
    assert.match(plain.out, /^claims +5$/m)
    assert.match(plain.out, /^cause +attempts_exhausted: Given up after 5 attempts/m)
    assert.match(plain.out, /^prompts +1, 4 tokens$/m)
    assert.notMatch(plain.out, /^prompt 0/m)
    assert.notInclude(plain.out, "\x1b")
    const full = await run("show", "2", true)
    assert.match(full.out, /^prompt 0 +".+"$/m)
    assert.match((await run("show", "1")).out, /^record +2 bytes that are no request$/m)
  })

  it("says what to do where a letter is not named or not there", async () => {
    assert.match((await run("show")).err, /name a request's id, or a letter's offset/)
    const missing = await run("replay", "7")
    assert.deepStrictEqual([missing.code, missing.out], [1, ""])
    assert.match(missing.err, /no dead letter "7"; `list` shows all/)
    assert.match((await run("replay", "1")).err, /is no request, so it cannot be sent again/)
  })

  it("sends one again as a new request with as much time as it had", async () => {
    const { code, out } = await run("replay", requestId)
    assert.strictEqual(code, 0)
    const again = out.split(" ").at(-1) ?? ""
    assert.isTrue(isRequestId(again))
    const found = await withLogs(Effect.flatMap(RequestLog, ({ find }) => find(again)))
    assert.isTrue(typeof found === "object")
    if (typeof found !== "object") return
    const { acceptedAt, deadline } = found
    assert.strictEqual(deadline - acceptedAt, 60_000)
    assert.closeTo(acceptedAt, Date.now(), 10_000)
    assert.deepStrictEqual(found, { ...request, requestId: again, acceptedAt, deadline })
  })
})
