// Folders of the embedded log: what is given back when one is opened again, and which are refused
// because they are another's, damaged or cut.
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { open } from "lmdb"
import { at, opened, optionsOf } from "../support/openedLog.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"
import { eventually, readAll, record, textOf, texts, topic, watch } from "./log.ts"

const refusal = (folder: string) =>
  Effect.map(Effect.flip(Effect.scoped(opened(optionsOf(folder)))), ({ reason, message }) => {
    assert.include(message, folder)
    return reason
  })

/** How many records there are. */
const readable = Effect.fnUntraced(function* (folder: string) {
  const { use } = yield* opened(optionsOf(folder))
  const all = yield* Effect.forEach([0, 1, 2], (partition) => use(readAll("t", partition)))
  return all.flat().length
})

describe("a folder", () => {
  it.live("that was closed gives everything back when it is opened again", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("reopen")
      const first = yield* opened(optionsOf(folder))
      yield* first.log.createTopics([topic("t", 2)])
      yield* first.log.append(
        at("t", 1),
        texts(100).map((text) => record(text)),
      )
      yield* first.close
      const error = yield* Effect.flip(first.log.append(at("t", 1), [record("late")]))
      assert.strictEqual(error.reason, "closed")
      const second = yield* opened(optionsOf(folder))
      assert.strictEqual((yield* second.log.topics)[0]?.partitions, 2)
      assert.deepStrictEqual((yield* second.use(readAll("t", 1))).map(textOf), texts(100))
      assert.strictEqual(yield* second.log.append(at("t", 1), [record("on")]), 100)
    }).pipe(Effect.scoped),
  )

  it.live("appends that were made before it closes are written", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("flush")
      const first = yield* opened(optionsOf(folder))
      yield* first.log.createTopics([topic("t")])
      let answers = 0
      for (const text of texts(500)) {
        first.log.appendThen(at("t"), [record(text)], (error) => {
          assert.isNull(error)
          answers++
        })
      }
      yield* first.close
      assert.strictEqual(answers, 500)
      const second = yield* opened(optionsOf(folder))
      assert.deepStrictEqual((yield* second.use(readAll("t"))).map(textOf), texts(500))
    }).pipe(Effect.scoped),
  )

  it.live("of another format, of another program, of rubbish, cut or unwritable is refused", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("refuse")
      const within = (name: string) => join(folder, name)
      const make = (name: string) => Effect.asVoid(Effect.scoped(opened(optionsOf(within(name)))))
      yield* make("newer")
      const env = open({ path: within("newer"), maxDbs: 16, encoding: "binary" })
      const meta = env.openDB({ name: "meta", encoding: "binary", keyEncoding: "binary" })
      yield* Effect.promise(() => meta.put(Buffer.from("format"), Buffer.from("sluice-log 2")))
      yield* Effect.promise(() => env.close())
      assert.strictEqual(yield* refusal(within("newer")), "otherFormat")

      const foreign = open({ path: within("foreign") })
      yield* Effect.promise(async () => {
        for (let i = 0; i < 20; i++) await foreign.put(`key${i}`, "of somebody else")
        await foreign.close()
      })
      assert.strictEqual(yield* refusal(within("foreign")), "otherFormat")

      mkdirSync(within("rubbish"))
      writeFileSync(within("rubbish/data.mdb"), Buffer.alloc(100_000, "rubbish"))
      assert.strictEqual(yield* refusal(within("rubbish")), "corrupt")

      yield* make("cut")
      truncateSync(within("cut/data.mdb"), 8192)
      assert.strictEqual(yield* refusal(within("cut")), "corrupt")

      writeFileSync(within("file"), "not a folder")
      assert.strictEqual(yield* refusal(within("file")), "unavailable")
    }).pipe(Effect.scoped),
  )

  it.live("cut anywhere is refused, or gives everything back", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("cuts")
      const first = yield* opened(optionsOf(folder))
      yield* first.log.createTopics([topic("t", 3)])
      for (let i = 0; i < 40; i++) {
        yield* first.log.append(at("t", i % 3), [record(`${i}`.padEnd(i * 300))])
      }
      yield* first.close
      const path = join(folder, "data.mdb")
      const whole = readFileSync(path)
      let refused = 0
      for (let pages = 1; pages < whole.length / 4096 - 2; pages += 7) {
        writeFileSync(path, whole.subarray(0, whole.length - pages * 4096))
        const log = yield* Effect.exit(Effect.scoped(readable(folder)))
        if (Exit.isFailure(log)) refused++
        else assert.strictEqual(log.value, 40)
      }
      assert.isAbove(refused, 5)
      writeFileSync(path, whole)
      assert.strictEqual(yield* Effect.scoped(readable(folder)), 40)
    }).pipe(Effect.scoped),
  )

  it.live("records whose bytes were changed on the disk are corrupt, not delivered", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder("flip")
      const first = yield* opened(optionsOf(folder))
      yield* first.log.createTopics([topic("t")])
      yield* first.log.append(at("t"), [record("sound".padEnd(5000, "."))])
      yield* first.log.append(at("t"), [record("needle".padEnd(5000, "."))])
      yield* first.close
      const path = join(folder, "data.mdb")
      const bytes = readFileSync(path)
      for (let i = bytes.indexOf("needle"); i >= 0; i = bytes.indexOf("needle", i + 1)) bytes[i] = 0
      writeFileSync(path, bytes)
      const second = yield* opened(optionsOf(folder))
      assert.lengthOf(yield* second.log.read(at("t"), 0, 100_000), 1)
      const error = yield* Effect.flip(second.log.read(at("t"), 1, 100_000))
      assert.strictEqual(error.reason, "corrupt")
      const { errors, seen, onRecords, onError } = watch(1)
      yield* second.use(
        second.log.tail({ topic: "t", from: new Map([[0, 0]]), onRecords, onError }),
      )
      yield* eventually("the error", () => errors.length > 0)
      assert.lengthOf(seen[0]!.texts, 1)
      assert.strictEqual(errors[0]?.reason, "corrupt")
    }).pipe(Effect.scoped),
  )
})
