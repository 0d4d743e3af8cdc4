// The log of the simulation keeps the contract that every adapter keeps: the same functions, over a
// network that delays and reorders as much as the port allows. Losses are not asked of it here:
// the contract has no word for them but its errors.
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Log } from "../../streams/Log.ts"
import { memoryLog } from "../../streams/memory/MemoryLog.ts"
import { faultyLog } from "../simulation/FaultyLog.ts"
import { liveHost } from "../simulation/Host.ts"
import { Leaders } from "../simulation/Leaders.ts"
import { drawsOf } from "../simulation/Simulation.ts"
import { logCases } from "./log.ts"
import { groupCases } from "./logGroups.ts"
import { retentionCases } from "./logRetention.ts"

const groupTimes = { heartbeatMs: 100, checkMs: 50, sessionMs: 5000 }

const layerBase = memoryLog({ retentionEveryMs: 50, groupTimes })

const layerFaulty = Layer.effect(
  Log,
  Effect.map(Log, (base) => {
    const draw = drawsOf(1)
    return faultyLog({
      early: new Set(),
      base,
      leaders: new Leaders(liveHost),
      broker: liveHost,
      client: liveHost,
      faults: {
        latencyMs: () => draw.between(0, 4),
        lagMs: () => (draw.chance(0.1) ? draw.between(0, 20) : 0),
        fate: () => "well",
        timeoutMs: 100,
        sessionMs: 1000,
        losesCommit: () => false,
        portion: (count) => 1 + draw.below(count),
      },
      count: () => {},
    })
  }),
).pipe(Layer.provide(layerBase))

describe("the faulty log", () => {
  const cases = [...logCases, ...groupCases, ...retentionCases]
  for (const [index, { says, run }] of cases.entries()) {
    it.live(says, () => Effect.scoped(run(`contract-${index}`)).pipe(Effect.provide(layerFaulty)))
  }
})
