// What the embedded log promises beyond the contract: several processes on one folder, and a bound
// that is kept and can be left again.
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { type LogError } from "../../streams/Log.ts"
import { child } from "../support/childLines.ts"
import { at, opened, optionsOf } from "../support/openedLog.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"
import { eventually, readAll, record, textOf, topic, watch } from "./log.ts"

const logChild = "./logChild.ts"

describe("the bound", () => {
  const mapBytes = 2 * 1024 ** 2

  it.live("a full log refuses appends, keeps what it has, and takes more once there is room", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("full")
      const { log, use } = yield* opened(optionsOf(folder, { mapBytes }))
      const kept = topic("t", 1)
      yield* log.createTopics([kept])
      const batch = Array.from({ length: 10 }, (_, i) => record(`${i}`.padEnd(10_000)))
      let written = 0
      let reason = ""
      while (reason === "" && written < 1000) {
        const result = yield* Effect.exit(log.append(at("t"), batch))
        if (Exit.isSuccess(result)) written += batch.length
        else reason = (yield* Effect.flip(log.append(at("t"), batch))).reason
      }
      assert.strictEqual(reason, "full")
      assert.isAbove(written, 100)
      assert.lengthOf(yield* use(readAll("t")), written)
      assert.isBelow(statSync(join(folder, "data.mdb")).size, 2 * mapBytes)
      // Groups work on: consumers must be able to finish what is there.
      const seen = watch(1)
      yield* use(log.tail({ topic: "t", from: new Map([[0, 0]]), ...seen }))
      yield* eventually("all records", () => seen.count() === written)
      yield* log.createTopics([{ ...kept, retentionBytes: mapBytes / 4 }])
      const offset = yield* log.append(at("t"), batch)
      assert.strictEqual(offset, written)
      for (let i = 0; i < 100; i++) yield* log.append(at("t"), batch)
      const { next } = yield* log.bounds(at("t"))
      assert.strictEqual(next, written + 101 * batch.length)
      assert.isBelow(statSync(join(folder, "data.mdb")).size, 2 * mapBytes)
    }).pipe(Effect.scoped),
  )

  it.live("a disk that takes no more fails appends, typed, and harms nothing", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("disk")
      const first = yield* opened(optionsOf(folder))
      yield* first.log.createTopics([topic("t")])
      yield* first.close
      // No file of the child may have more than 3 MB: to it the disk is full.
      const filler = yield* child(logChild, ["fill", folder, "t"], 3_000_000)
      const [, reason, records] = (yield* filler.line("failed")).split(" ")
      assert.include(["full", "unavailable"], reason)
      assert.isAbove(Number(records), 50)
      const { log, use } = yield* opened(optionsOf(folder))
      assert.lengthOf(yield* use(readAll("t")), Number(records))
      assert.strictEqual(yield* log.append(at("t"), [record("on")]), Number(records))
    }).pipe(Effect.scoped),
  )

  it.live("a record that is too large, and a key of a compacted topic, are refused by name", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("large")
      const { log } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t"), topic("c", 1, { cleanup: "compact" })])
      const huge = { key: null, value: new Uint8Array(65 * 1024 ** 2) }
      assert.strictEqual((yield* Effect.flip(log.append(at("t"), [huge]))).reason, "tooLarge")
      const longKey = record("x", "k".repeat(2000))
      assert.strictEqual((yield* Effect.flip(log.append(at("c"), [longKey]))).reason, "tooLarge")
      assert.strictEqual(yield* log.append(at("t"), [record("small")]), 0)
    }).pipe(Effect.scoped),
  )
})

describe("several processes", () => {
  it.live("hear of records on their way into what they consume, before they are there", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("early")
      const one = yield* opened(optionsOf(folder))
      const other = yield* opened(optionsOf(folder))
      yield* one.log.createTopics([topic("t"), topic("unheard")])
      const heard: Array<string> = []
      let isOurs = false
      yield* other.use(
        other.log.consume({
          group: "group",
          member: "other",
          topics: ["t"],
          slots: 1,
          handler: {
            onAssigned: () => (isOurs = true),
            onEarly: (_, records) =>
              heard.push(...records.map(({ value }) => `early ${Buffer.from(value)}`)),
            onRecords: (_, __, records) => heard.push(...records.map(textOf)),
            onError: (error) => assert.fail(error.message),
          },
        }),
      )
      yield* eventually("the assignment", () => isOurs)
      for (const from of [one, other]) {
        heard.length = 0
        yield* from.log.append(at("unheard"), [record("x")])
        yield* Effect.sleep(50)
        yield* from.log.append(at("t"), [record("a"), record("b")])
        yield* eventually("all of it", () => heard.length === 4)
        assert.deepStrictEqual(heard, ["early a", "early b", "a", "b"])
      }
    }).pipe(Effect.scoped),
  )

  it.live("append to the same partitions: one order for all, each its own order", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("both")
      const { log, use } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t", 2)])
      const tail = watch(2)
      yield* use(log.tail({ topic: "t", from: "end", ...tail }))
      const writers = yield* Effect.all(
        ["a", "b"].map((name) => child(logChild, ["write", folder, "t", name])),
      )
      for (const writer of writers) yield* writer.line("ready")
      for (let i = 0; i < 200; i++) yield* log.append(at("t", i % 2), [record(`here:${i}`)])
      for (const writer of writers) yield* writer.line("ack 200")
      for (const writer of writers) yield* writer.kill
      const all = [yield* use(readAll("t", 0)), yield* use(readAll("t", 1))]
      yield* eventually("the tail", () => tail.count() === all[0]!.length + all[1]!.length)
      for (const partition of [0, 1]) {
        const found = all[partition]!.map(textOf)
        assert.deepStrictEqual(tail.seen[partition]!.texts, found)
        for (const name of ["a", "b", "here"]) {
          const own = found.filter((text) => text.startsWith(`${name}:`))
          assert.deepStrictEqual(
            own,
            own.map((_, i) => `${name}:${i * 2 + partition}`),
          )
          assert.isAtLeast(own.length, 100)
        }
      }
    }).pipe(Effect.scoped),
  )

  it.live("share a group; one that is killed is noticed at once, one that is stopped in time", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("group")
      const { log, use } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t", 4)])
      const owned: Array<number> = []
      let epoch = 0
      yield* use(
        log.consume({
          group: "group",
          member: "here",
          topics: ["t"],
          slots: 1,
          handler: {
            onAssigned: (now, partitions) => {
              epoch = now
              owned.splice(0, owned.length, ...partitions.map(({ partition }) => partition))
            },
            onRecords: () => undefined,
            onError: (error) => assert.fail(error.message),
          },
        }),
      )
      yield* eventually("all", () => owned.length === 4)
      const killed = yield* child(logChild, ["consume", folder, "t", "killed"])
      yield* killed.line("assigned")
      yield* eventually("half", () => owned.length === 2)
      const before = performance.now()
      yield* killed.kill
      yield* eventually("all again", () => owned.length === 4)
      assert.isBelow(performance.now() - before, 1000)

      const stopped = yield* child(logChild, ["consume", folder, "t", "stopped"])
      yield* stopped.line("assigned")
      yield* eventually("half", () => owned.length === 2)
      stopped.child.kill("SIGSTOP")
      yield* eventually("all, after the session time", () => owned.length === 4)
      const old = epoch
      stopped.child.kill("SIGCONT")
      yield* eventually("half: it has joined again", () => owned.length === 2 && epoch > old)
    }).pipe(Effect.scoped),
  )

  it.live("cannot be one member twice: the first one is told and ends", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("twice")
      const { log, use } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t", 2)])
      const reasons: Array<string> = []
      const handler = {
        onAssigned: () => undefined,
        onRecords: () => undefined,
        onError: (error: LogError) => void reasons.push(error.reason),
      }
      yield* use(log.consume({ group: "group", member: "same", topics: ["t"], slots: 1, handler }))
      const other = yield* child(logChild, ["consume", folder, "t", "same"])
      assert.strictEqual(yield* other.line("assigned"), "assigned 0,1")
      yield* eventually("an error", () => reasons.length > 0)
      assert.deepStrictEqual(reasons, ["fenced"])
      yield* log.append(at("t", 1), [record("x")])
      yield* other.line("got 1 0 x")
    }).pipe(Effect.scoped),
  )

  it.live("wake one another: records are seen long before the slow look", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("wake")
      const { log } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t")])
      const follower = yield* child(logChild, ["follow", folder, "t", "40"])
      yield* follower.line("ready")
      const acknowledged: Array<number> = []
      for (let i = 0; i < 40; i++) {
        yield* log.append(at("t"), [record("x")])
        acknowledged.push(performance.timeOrigin + performance.now())
        yield* Effect.sleep(10)
      }
      const seen: ReadonlyArray<number> = JSON.parse(yield* follower.line("["))
      const delays = seen.map((time, i) => time - acknowledged[i]!).toSorted((a, b) => a - b)
      // Polling alone would make it 125 ms; the machine may be busy.
      assert.isBelow(delays[20]!, 20)
    }).pipe(Effect.scoped),
  )

  it.live("a socket that a killed process left is removed by the next one", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("stale")
      const { log } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t")])
      const killed = yield* child(logChild, ["follow", folder, "t", "1"])
      yield* killed.line("ready")
      yield* killed.kill
      const sockets = () => readdirSync(join(folder, "wake"))
      const isLeft = () => sockets().some((name) => name.startsWith(`${killed.child.pid}.`))
      assert.isTrue(isLeft())
      yield* opened(optionsOf(folder))
      assert.isFalse(isLeft())
      assert.lengthOf(sockets(), 2)
    }).pipe(Effect.scoped),
  )

  it.live("a folder whose path is too long for a socket works as well", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder("deep"), "d".repeat(120))
      const { log } = yield* opened(optionsOf(folder))
      yield* log.createTopics([topic("t")])
      const follower = yield* child(logChild, ["follow", folder, "t", "1"])
      yield* follower.line("ready")
      yield* log.append(at("t"), [record("x")])
      yield* follower.line("[")
      assert.isFalse(existsSync(join(folder, "wake")))
    }).pipe(Effect.scoped),
  )
})
