// A rollout as an operator starts it, over real processes under load: no request fails, each goes
// where its hash says, and a gateway that is killed in the middle changes nothing.
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { codecs } from "../../schemas/codec.ts"
import type { ControlEvent, RequestAccepted } from "../../schemas/types.ts"
import { versionFor } from "../../src/control/rollout/split.ts"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { ControlState, rolloutEntity } from "../../streams/fold/controlState.ts"
import { Log } from "../../streams/Log.ts"
import { controlTopic, requestTopic } from "../../streams/topics.ts"
import { makeDataFolder, type Sluice, startSluice } from "../support/server.ts"
import { projectRoot } from "../support/shared.ts"

const model = "tales-11m"
const data = makeDataFolder()
const next = join(data, "next")
const flags = ["--engine", "scripted", "--scripted-tokens-per-second", "400"]
const processes: Array<Sluice> = []

const gateway = async () => {
  const started = await startSluice({ kind: "gateway", data, flags: ["--rate-burst", "100000"] })
  processes.push(started)
  return started
}

beforeAll(async () => {
  mkdirSync(next)
  const folder = join(projectRoot, "models", model)
  for (const file of readdirSync(folder)) symlinkSync(join(folder, file), join(next, file))
  processes.push(await startSluice({ kind: "worker", data, flags }))
}, 60_000)

afterAll(async () => {
  await Promise.all(processes.map((one) => one.stop()))
  rmSync(data, { recursive: true, force: true })
})

const rollout = (...args: ReadonlyArray<string>) =>
  new Promise<{ code: number | null; text: string }>((resolve) => {
    const main = join(projectRoot, "src", "cli", "main.ts")
    const child = spawn(process.execPath, [main, "rollout", ...args, "--data", data])
    let text = ""
    child.stdout.on("data", (chunk) => (text += String(chunk)))
    child.stderr.on("data", (chunk) => (text += String(chunk)))
    child.once("close", (code) => resolve({ code, text }))
  })

/** Everything of a topic that is there, decoded. */
const readTopic = <A>(topic: string, decode: (bytes: Uint8Array) => A): Promise<Array<A>> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const log = yield* Log
      const spec = (yield* log.topics).find(({ name }) => name === topic)
      const found: Array<A> = []
      for (let partition = 0; partition < (spec?.partitions ?? 0); partition++) {
        let { first } = yield* log.bounds({ topic, partition })
        for (;;) {
          const records = yield* log.read({ topic, partition }, first, 1 << 24)
          if (records.length === 0) break
          for (const { value } of records) found.push(decode(value))
          first = (records.at(-1)?.offset ?? 0) + 1
        }
      }
      return found
    }).pipe(
      Effect.provide(embeddedLog({ folder: join(data, "log"), mapBytes: 16 * 1024 ** 3 })),
      Effect.scoped,
    ),
  )

const requestsOf = async (version: string): Promise<Array<RequestAccepted>> => {
  const topic = requestTopic(model, version, "default")
  const read = await readTopic(topic, codecs.requestAccepted.decode)
  return read.flatMap((request) => ("requestId" in request ? [request] : []))
}

const controlEvents = async (): Promise<Array<ControlEvent>> => {
  const read = await readTopic(controlTopic, codecs.controlEvent.decode)
  return read.flatMap((event) => ("eventId" in event ? [event] : []))
}

/** Until the fold of the log is so; asked without a process of ours in between. */
const until = async (holds: (state: ControlState) => boolean, msMax: number) => {
  const by = performance.now() + msMax
  for (;;) {
    const state = new ControlState()
    for (const event of await controlEvents()) state.apply(event)
    if (holds(state)) return state
    assert.isBelow(performance.now(), by, JSON.stringify(state.rollout(model)))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** So many requests a second until told to stop; the answers that were not 200. */
const load = (urls: () => ReadonlyArray<string>, perSecond: number) => {
  const failures: Array<string> = []
  const open = new Set<Promise<void>>()
  let sent = 0
  const ask = async () => {
    const url = urls()[sent++ % urls().length]
    const body = JSON.stringify({ model, prompt: `Once ${sent}`, max_tokens: 8 })
    const headers = { "content-type": "application/json" }
    const answer = await fetch(`${url}/v1/completions`, { method: "POST", headers, body })
    const text = await answer.text()
    if (answer.status !== 200) failures.push(`${answer.status} ${text}`)
  }
  const startedAt = performance.now()
  const isBehind = () => sent < ((performance.now() - startedAt) / 1000) * perSecond
  const timer = setInterval(() => {
    while (isBehind()) {
      const asked = ask().catch((error: unknown) => void failures.push(String(error)))
      open.add(asked)
      void asked.then(() => open.delete(asked))
    }
  }, 10)
  return async () => {
    clearInterval(timer)
    await Promise.all(open)
    return { sent, failures }
  }
}

/** A change is in force everywhere within a second: until then a request may be on either side. */
const settleMs = 1_000

describe("a rollout under load", () => {
  it("fails no request, and each goes where its hash says", async () => {
    const one = await gateway()
    const other = await gateway()
    const stop = load(() => [one.url, other.url], 200)
    const begun = await rollout(
      "start",
      "2",
      next,
      "--stage-time",
      "3s",
      "--window",
      "1s",
      "--grace",
      "1s",
    )
    assert.strictEqual(begun.code, 0, begun.text)
    const [again, status] = await Promise.all([rollout("start", "3", next), rollout("status")])
    assert.match(again.text, /a rollout of tales-11m is under way|is not cleared yet/)
    assert.match(status.text, /version 2 (is being loaded|takes \d+ %|serves)/)
    assert.match(status.text, /stages 10, 50, 100 %, 3s each, judged every 1s/)
    const state = await until((now) => now.rollout(model)?.retired === true, 40_000)
    const { sent, failures } = await stop()
    assert.deepStrictEqual(failures, [])
    assert.isAbove(sent, 1_000)
    const entity = rolloutEntity(model)
    const kinds = state.history(entity).map(({ change }) => change.kind)
    assert.deepStrictEqual(kinds, [
      "RolloutStarted",
      "RolloutStageEntered",
      "RolloutStageEntered",
      "RolloutStageEntered",
      "RolloutCompleted",
      "VersionRetired",
    ])
    const requests = [...(await requestsOf("1")), ...(await requestsOf("2"))]
    const replayed = new ControlState()
    let counted = 0
    for (const [i, event] of state.history(entity).entries()) {
      replayed.apply(event)
      const ends = state.history(entity)[i + 1]?.at ?? Infinity
      const rolled = replayed.rollout(model)!
      for (const { requestId, acceptedAt, version } of requests) {
        if (acceptedAt < event.at + settleMs || acceptedAt > ends - settleMs) continue
        assert.strictEqual(version, versionFor(rolled, requestId), `${event.change.kind} ${i}`)
        counted++
      }
    }
    assert.isAbove(counted, 300)
    await one.stop()
    await other.stop()
  }, 90_000)

  it("goes on as it would have, where a gateway is killed in the middle", async () => {
    const first = await gateway()
    const begun = await rollout("start", "3", next, "--stage-time", "1s", "--grace", "0")
    assert.strictEqual(begun.code, 0, begun.text)
    await until((now) => (now.rollout(model)?.stage ?? -1) >= 0, 20_000)
    await first.kill()
    const second = await gateway()
    const state = await until((now) => now.rollout(model)?.retired === true, 30_000)
    const kinds = state.history(rolloutEntity(model)).map(({ change }) => change.kind)
    assert.strictEqual(kinds.filter((kind) => kind === "RolloutCompleted").length, 2)
    const answer = await fetch(`${second.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, prompt: "Once", max_tokens: 4 }),
    })
    assert.strictEqual(answer.status, 200)
    assert.lengthOf(await requestsOf("3"), 1)
  }, 90_000)

  it("is refused for a folder that is no model of the same text", async () => {
    const empty = join(data, "empty")
    mkdirSync(empty)
    assert.include((await rollout("start", "4", empty)).text, "lacks config.json")
    const wrong = await rollout("start", "4", next, "--stages", "50,10")
    assert.include(wrong.text, "--stages are rising percents that end at 100")
    assert.include((await rollout("promote")).text, "promote does not apply: version 3 serves")
  }, 60_000)
})
