// A program whose step listener throws; addon.test.ts expects the process to end for it.
import { Effect } from "effect"
import { openNative } from "../../src/generate/engine/NativeEngine.ts"
import { makeSequence } from "../support/engineSequence.ts"
import { talesOptions } from "../support/talesEngine.ts"

const program = Effect.gen(function* () {
  const engine = yield* openNative(talesOptions)
  engine.onStep(() => {
    throw new Error("a defect in a listener")
  })
  engine.submit(makeSequence(1))
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(program))
