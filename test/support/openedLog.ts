// A data folder of the embedded log as a test opens it: in this process, until its scope closes.
import { Effect, Exit, Layer, Scope } from "effect"
import { embeddedLog, type EmbeddedLogOptions } from "../../streams/embedded/EmbeddedLog.ts"
import { Log } from "../../streams/Log.ts"

const groupTimes = { heartbeatMs: 100, checkMs: 50, sessionMs: 1500 }

export const optionsOf = (
  folder: string,
  more: Partial<EmbeddedLogOptions> = {},
): EmbeddedLogOptions => ({
  folder,
  mapBytes: 1024 ** 3,
  retentionEveryMs: 50,
  groupTimes,
  ...more,
})

/** The log of a folder, open until the scope closes or `close` is run. */
export const opened = Effect.fnUntraced(function* (options: EmbeddedLogOptions) {
  const scope = yield* Scope.make()
  const close = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => close)
  const context = yield* Layer.buildWithScope(embeddedLog(options), scope)
  const use = <A, E>(effect: Effect.Effect<A, E, Log | Scope.Scope>) =>
    Effect.provide(effect, context)
  return { use, close, log: yield* use(Log) }
})

export const at = (name: string, partition = 0) => ({ topic: name, partition })
