// What gateways decide by the logs alone, on every log that runs in this process: whose a key is,
// and which requests are orphans.
import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import type { Log, LogError } from "../../streams/Log.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { idempotencyCases } from "../contract/idempotency.ts"
import { reaperCases } from "../contract/reaper.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"

const layerEmbedded = Layer.unwrap(
  Effect.map(temporaryFolder("keys"), (folder) => embeddedLog({ folder, mapBytes: 1024 ** 3 })),
)

const adapters: ReadonlyArray<readonly [string, Layer.Layer<Log, LogError>]> = [
  ["memory", layerMemory],
  ["embedded", layerEmbedded],
]

for (const [adapter, layer] of adapters) {
  describe(`a request under a key, on the ${adapter} log`, () => idempotencyCases(layer))
  describe(`the reaper, on the ${adapter} log`, () => reaperCases(layer))
}
