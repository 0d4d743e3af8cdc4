// Long texts on the encoding thread: same ids, bounded waiting, no text harms another.
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { makeEncoder } from "../../../src/tokenizer/encoder.ts"
import { makeTokenTable } from "../../../src/tokenizer/tokenTable.ts"
import { readModelFolder } from "../../../src/tokenizer/modelFolder.ts"
import { projectRoot } from "../../support/shared.ts"

const tale = "Once upon a time there was a small fox who lived in a forest. "
const limits = { inlineUnitsMax: 0, waitingTextsMax: 4, waitingUnitsMax: 10_000 }
const open = Effect.fnUntraced(function* (changed: Partial<typeof limits> = {}) {
  const folder = yield* readModelFolder(`${projectRoot}models/tales-11m`)
  const model = yield* makeTokenTable(folder)
  return yield* makeEncoder(folder, model, { ...limits, ...changed })
})

describe("the encoding thread", () => {
  it.live("gives the ids that the main thread gives, in the order asked", () =>
    Effect.gen(function* () {
      const here = yield* open({ inlineUnitsMax: 1_000_000 })
      const there = yield* open()
      const texts = [tale, tale.repeat(100), "", "\ud800 lone"]
      const ids = yield* Effect.forEach(texts, (text) => there(text, true), { concurrency: 4 })
      expect(ids).toEqual(yield* Effect.forEach(texts, (text) => here(text, true)))
      expect(ids[0]?.[0]).toBe(0)
    }).pipe(Effect.scoped),
  )

  it.live("refuses as busy what is over its bounds, and takes more when it is through", () =>
    Effect.gen(function* () {
      const encode = yield* open()
      const ask = (text: string) => Effect.result(encode(text, false))
      const many = yield* Effect.all(
        Array.from({ length: 6 }, () => ask(tale)),
        {
          concurrency: "unbounded",
        },
      )
      expect(many.map(({ _tag }) => _tag).toSorted()).toEqual([
        "Failure",
        "Failure",
        "Success",
        "Success",
        "Success",
        "Success",
      ])
      const long = yield* Effect.all([ask(tale.repeat(150)), ask(tale.repeat(150))], {
        concurrency: "unbounded",
      })
      expect(long[0]?._tag).toBe("Success")
      expect(long[1]).toMatchObject({
        failure: {
          reason: "busy",
          retryAfterMs: expect.any(Number),
          numbers: { texts_waiting: 1, texts_max: 4, characters_max: 10_000 },
        },
      })
      expect((yield* ask(tale))._tag).toBe("Success")
    }).pipe(Effect.scoped),
  )

  it.live("refuses a text that no encoding can fit into the context", () =>
    Effect.gen(function* () {
      const encode = yield* open({ waitingUnitsMax: 1e9 })
      const error = yield* Effect.flip(encode("a".repeat(5_000_000), false))
      expect(error).toMatchObject({ reason: "tooLong" })
      expect(error.message).toContain("5000000 characters")
    }).pipe(Effect.scoped),
  )

  it.live("ends with its scope, and what waits then fails", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const encode = yield* Scope.provide(open(), scope)
      const waiting = yield* Effect.forkChild(Effect.flip(encode(tale, false)))
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      expect((yield* Fiber.join(waiting)).reason).toBe("busy")
    }),
  )
})
