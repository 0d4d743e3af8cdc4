// The engine contract on both engines.
import { Effect, Exit, Scope } from "effect"
import { expect } from "vitest"
import { makeScriptedEngine, scriptedDefaults } from "../../src/generate/engine/ScriptedEngine.ts"
import { openNative } from "../../src/generate/engine/NativeEngine.ts"
import { talesOptions } from "../support/talesEngine.ts"
import { engineContract } from "./engine.ts"

engineContract({
  name: "scripted",
  open: async (limits) => {
    const options = { ...scriptedDefaults, ...limits, contextTokensMax: 1024, stepIntervalMs: 0 }
    const { engine, close } = makeScriptedEngine({ ...options, now: Date.now })
    return { engine, close: async () => close() }
  },
})

engineContract({
  name: "native",
  open: async (limits) => {
    const scope = Effect.runSync(Scope.make())
    const opened = openNative({ ...talesOptions, ...limits, batchTokensMax: 64 })
    const engine = await Effect.runPromise(Scope.provide(opened, scope))
    expect(engine.info.blocks).toBeGreaterThan(0)
    return { engine, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  },
})
