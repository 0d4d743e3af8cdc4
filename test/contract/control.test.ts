// The control log on the logs that need no server: the same cases run on Kafka, too.
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { embeddedLog } from "../../streams/embedded/EmbeddedLog.ts"
import { layerMemory } from "../../streams/memory/MemoryLog.ts"
import { temporaryFolder } from "../support/temporaryFolder.ts"
import { controlCases, controlKeys } from "./control.ts"

const layerEmbedded = Layer.unwrap(
  Effect.map(temporaryFolder("control"), (folder) => embeddedLog({ folder, mapBytes: 1024 ** 3 })),
)

for (const [adapter, layer] of [
  ["memory", layerMemory],
  ["embedded", layerEmbedded],
] as const) {
  describe(`control on the ${adapter} log`, () => {
    for (const [i, { says, run }] of controlCases.entries()) {
      it.live(says, () => Effect.scoped(run(layer, controlKeys[i % 3]!)), 20_000)
    }
  })
}
