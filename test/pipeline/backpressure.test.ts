// Queues of which no other test asks what happens when they are full; the table in ARCHITECTURE.md
// names the test of each.
import { setTimeout as sleep } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import { afterEach, assert, describe, it } from "vitest"
import { Effect } from "effect"
import { WebSocket } from "ws"
import { MemoryBuckets } from "../../src/api/rate/MemoryBuckets.ts"
import { makeWorkerStates } from "../../src/enqueue/workerStates.ts"
import { Core } from "../../src/generate/core.ts"
import { silentProgress } from "../../src/generate/progress.ts"
import { makeScriptedEngine, scriptedDefaults } from "../../src/generate/engine/ScriptedEngine.ts"
import { Pace } from "../../src/telemetry/Pace.ts"
import { makeTextStream } from "../../src/tokenizer/TextStream.ts"
import { Writer } from "../../streams/embedded/Writer.ts"
import { RecentIds } from "../../streams/recentIds.ts"
import { requestTopic } from "../../streams/topics.ts"
import { AnswerServer, until } from "../support/answer/AnswerServer.ts"
import { accepted as answered, eventsOf, requestId } from "../support/answer/events.ts"
import { workerStatus } from "../support/enqueue.ts"
import { accepted, letters } from "../support/generate.ts"

let server: AnswerServer | null = null
afterEach(async () => {
  await server?.stop()
  server = null
})

const start = async () => {
  server = await new AnswerServer().start()
  return server
}

describe("a socket's inbox", () => {
  it("that is full closes its socket, and no other", async () => {
    const { url, stages } = await start()
    stages.onSubmit = Effect.never
    const open = async () => {
      const ws = new WebSocket(url.replace("http", "ws"))
      await new Promise((resolve) => ws.once("open", resolve))
      return ws
    }
    const [flooding, other] = [await open(), await open()]
    const closed = new Promise<number>((resolve) => flooding.once("close", resolve))
    for (let i = 0; i < 20_000; i++) flooding.send("{}")
    assert.strictEqual(await closed, 1008)
    assert.strictEqual(other.readyState, other.OPEN)
    other.terminate()
  })
})

describe("a stream whose request is not yet durable", () => {
  it("holds 64 deliveries, makes the relay wait, and shows all of them later", async () => {
    const { url, stages } = await start()
    let durable = () => {}
    const submitted = new Promise<void>((resolve) => (durable = resolve))
    stages.onSubmit = Effect.promise(() => submitted)
    stages.deliveryMax = 1
    const response = fetch(url, { method: "POST" })
    await until(() => stages.subscribers === 1)
    const texts = Array.from({ length: 200 }, (_, i) => `${i} `)
    stages.say(requestId, eventsOf(answered(), [{ texts, finish: "stop" }]))
    assert.strictEqual(stages.taken(requestId), 64)
    durable()
    const text = await (await response).text()
    for (const one of texts) assert.include(text, `"text":"${one}"`)
  })
})

describe("a worker whose entries do not become durable", () => {
  it("starts no request while 200,000 wait, and goes on when they are in the log", () => {
    const topic = requestTopic("scripted", "1", "default")
    const at = { topic, partition: 0 }
    const appends: Array<() => void> = []
    let submitted = 0
    const { engine } = makeScriptedEngine({
      ...scriptedDefaults,
      stepIntervalMs: null,
      now: () => 0,
    })
    const core = new Core({
      workerId: "w",
      engine: { ...engine, submit: (sequence) => (submitted++, engine.submit(sequence)) },
      makeText: makeTextStream,
      tokenizer: letters,
      tierOf: new Map([[topic, "default"]]),
      weights: () => ({ priority: 16, default: 4, flex: 1 }),
      tailStarts: [0],
      backlog: { requestsMax: 10, promptTokensMax: 100 },
      claimsMax: 3,
      adoptTokensMax: 100,
      flushMs: 0,
      retryMs: 1,
      patienceMs: 1,
      yieldMs: 1,
      now: () => Date.now(),
      after: () => {},
      append: (_, __, done) => appends.push(() => done(null, 0)),
      onLost: () => {},
      wantsHistory: () => {},
      bury: () => {},
      progress: silentProgress,
    })
    for (const owned of core.onAssigned(1, [at])) owned.freshFrom = 0
    const buffer = core.writer.buffer(0)
    for (let i = 0; i <= 200_000; i++) {
      buffer.add({ kind: "Cancelled", requestId: `other-${i}`, by: "w" }, "now")
    }
    const value = accepted({ maxTokens: 1 })
    const record = { offset: 0, timestamp: Date.now(), bytes: new Uint8Array(0), damage: null }
    core.onRecords(at, [{ ...record, value }])
    assert.strictEqual(submitted, 0)
    while (core.writer.busy) {
      for (const append of appends.splice(0)) append()
      core.turn()
    }
    assert.strictEqual(submitted, 1)
  })
})

describe("the embedded log's writer", () => {
  it("refuses what comes while 256 MiB wait to be written", async () => {
    const silent = new Worker("setInterval(() => {}, 1000)", { eval: true })
    const silence = { onCommitting: () => {}, onAppended: () => {}, onLost: () => {} }
    const writer = new Writer(silent, { now: () => 0, ...silence })
    const value = Buffer.alloc(8 * 1024 * 1024)
    const target = { at: { topic: "t", partition: 0 }, topicId: 1, compacted: false }
    const reasons: Array<string> = []
    for (let i = 0; i < 40; i++) {
      writer.append(target, [{ key: null, value }], (error) => reasons.push(error?.reason ?? "ok"))
    }
    await sleep(50)
    assert.strictEqual(reasons[0], "unavailable")
    assert.isAtLeast(reasons.length, 7)
    assert.isAtMost(reasons.length, 9)
    await silent.terminate()
  })
})

describe("the time that a refusal names", () => {
  it("is how long as much took lately, within bounds", () => {
    const pace = new Pace()
    assert.strictEqual(pace.waitMs(1_000_000), 1_000)
    for (let i = 0; i < 100; i++) pace.took(10, 1_000)
    assert.strictEqual(pace.waitMs(50), 5_000)
    assert.strictEqual(pace.waitMs(1), 500)
    assert.strictEqual(pace.waitMs(1_000_000), 60_000)
    for (let i = 0; i < 100; i++) pace.took(10, 100)
    assert.closeTo(pace.waitMs(500), 5_000, 50)
  })
})

describe("a bounded memory", () => {
  it("of tenants' buckets forgets the one that was not seen for longest, in its favour", () => {
    const buckets = new MemoryBuckets()
    const rate = { requestsPerSecond: 1, burst: 2 }
    buckets.take("first", rate, 0)
    for (let i = 0; i < 9_999; i++) buckets.take(`tenant-${i}`, rate, 0)
    assert.strictEqual(buckets.take("first", rate, 0).remaining, 0)
    for (let i = 0; i < 10_000; i++) buckets.take(`other-${i}`, rate, 0)
    assert.strictEqual(buckets.take("first", rate, 0).remaining, 1)
  })

  it("of ids forgets the oldest half", () => {
    const ids = new RecentIds(100)
    for (let i = 0; i < 1_000; i++) ids.add(String(i))
    assert.isTrue(ids.has("999"))
    assert.isTrue(ids.has("951"))
    assert.isFalse(ids.has("899"))
  })

  it("of workers forgets the one that was silent for longest", () => {
    const states = makeWorkerStates("tales-11m", 0)
    for (let i = 0; i < 5_000; i++) {
      states.take(workerStatus({ workerId: `w${i}`, at: 1_000, partitions: [`t/${i}`] }))
    }
    assert.strictEqual(states.live(1_000).length, 4_096)
    assert.isNull(states.owner("t/0", 1_000))
    assert.strictEqual(states.owner("t/4999", 1_000)?.workerId, "w4999")
  })
})
