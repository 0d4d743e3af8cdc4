// How long a process takes to know what was ever decided: 1,000 control events, from bytes to the
// state that is in force.
import type { BenchResult } from "./main.ts"
import { codecs } from "../../schemas/codec.ts"
import type { ControlChange, ControlEvent } from "../../schemas/types.ts"
import { rolloutStarted } from "../support/control.ts"
import { ControlState, rolloutEntity, settingEntity } from "../../streams/fold/controlState.ts"

const events = 1_000
const runs = 20

/** Half settings, half rollouts that go through all their stages. */
const makeBytes = (): ReadonlyArray<Uint8Array> => {
  const heads = new Map<string, string>()
  const rollout: ReadonlyArray<ControlChange> = [
    rolloutStarted,
    ...[0, 1, 2].map((stage) => ({ kind: "RolloutStageEntered" as const, stage })),
    { kind: "RolloutCompleted", reason: "" },
    { kind: "VersionRetired", version: "1" },
  ]
  return Array.from({ length: events }, (_, i) => {
    const isSetting = i % 2 === 0
    const entity = isSetting ? settingEntity("rate.burst") : rolloutEntity("m")
    const change: ControlChange = isSetting
      ? { kind: "SettingChanged", key: "rate.burst", value: String(i) }
      : rollout[((i - 1) / 2) % rollout.length]!
    const eventId = `event-${i}`
    const event: ControlEvent = {
      ...{ eventId, at: i, by: "bench", entity, after: heads.get(entity) ?? null },
      change,
    }
    heads.set(entity, eventId)
    return codecs.controlEvent.encode(event)
  })
}

export const run = async (): Promise<BenchResult> => {
  const bytes = makeBytes()
  const tookMs = Array.from({ length: runs }, () => {
    const startedAt = performance.now()
    const state = new ControlState()
    let counted = 0
    for (const record of bytes) {
      const event = codecs.controlEvent.decode(record)
      if ("eventId" in event && state.apply(event)) counted++
    }
    if (counted !== events) throw new Error(`${counted} of ${events} events counted`)
    return performance.now() - startedAt
  })
  const first = tookMs[0] ?? 0
  const median = tookMs.toSorted((a, b) => a - b)[runs / 2] ?? 0
  return { events, firstMs: first, medianMs: median, boundMs: 50 }
}
