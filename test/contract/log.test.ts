// Every adapter of the log keeps the contract: the same functions, run on each.
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Log, LogError } from "../../streams/Log.ts"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { memoryLog } from "../../streams/memory/MemoryLog.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"
import { logCases } from "./log.ts"
import { groupCases } from "./logGroups.ts"
import { retentionCases } from "./logRetention.ts"

const groupTimes = { heartbeatMs: 100, checkMs: 50, sessionMs: 5000 }
const retentionEveryMs = 50

const layerEmbedded = Layer.unwrap(
  Effect.map(temporaryFolder("log"), (folder) =>
    embeddedLog({ folder, mapBytes: 1024 ** 3, retentionEveryMs, groupTimes }),
  ),
)

const adapters: ReadonlyArray<readonly [string, Layer.Layer<Log, LogError>]> = [
  ["memory", memoryLog({ retentionEveryMs, groupTimes })],
  ["embedded", layerEmbedded],
]

for (const [adapter, layer] of adapters) {
  describe(`the ${adapter} log`, () => {
    const cases = [...logCases, ...groupCases, ...retentionCases]
    for (const [index, { says, run }] of cases.entries()) {
      it.live(says, () => Effect.scoped(run(`contract-${index}`)).pipe(Effect.provide(layer)))
    }
  })
}
