// A native engine for the length of one test body, with a runner that gathers transcripts.
import { Effect } from "effect"
import type { Engine } from "../../src/generate/engine/Engine.ts"
import { type NativeEngineOptions, openNative } from "../../src/generate/engine/NativeEngine.ts"
import { collectOutputs } from "./engineOutputs.ts"

export type RunSequence = ReturnType<typeof collectOutputs>

/** What the body gives; the engine is closed by then. */
export const withNative = <A>(
  options: NativeEngineOptions,
  body: (run: RunSequence, engine: Engine["Service"]) => Promise<A>,
): Promise<A> =>
  openNative(options).pipe(
    Effect.flatMap((engine) => Effect.promise(() => body(collectOutputs(engine), engine))),
    Effect.scoped,
    Effect.runPromise,
  )
