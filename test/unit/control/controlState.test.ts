// The fold of the control log: what counts, and what a rollout's events make of it.
import { assert, describe, it } from "@effect/vitest"
import type { ControlChange, ControlEvent } from "../../../schemas/types.ts"
import { codecs } from "../../../schemas/codec.ts"
import { ControlState, rolloutEntity, settingEntity } from "../../../streams/fold/controlState.ts"
import { rolloutStarted as started } from "../../support/control.ts"
import { loadedVersions, newShare } from "../../../streams/fold/rolloutState.ts"

const stage = (index: number): ControlChange => ({ kind: "RolloutStageEntered", stage: index })

/** Each follows the newest that counts, as a writer that has read everything would have it. */
const folded = (...changes: ReadonlyArray<ControlChange>) => {
  const state = new ControlState()
  const entity = rolloutEntity("m")
  const counted = changes.map((change, i) =>
    state.apply({ eventId: `e${i}`, at: i, by: "t", entity, after: state.head(entity), change }),
  )
  return { state, counted, rollout: state.rollout("m")! }
}

const setting = (eventId: string, after: string | null, value: string): ControlEvent => ({
  eventId,
  at: 0,
  by: "t",
  entity: settingEntity("k"),
  after,
  change: { kind: "SettingChanged", key: "k", value },
})

describe("the control log's order", () => {
  it("decides between two that follow the same event, whichever way compaction leaves it", () => {
    const state = new ControlState()
    assert.isTrue(state.apply(setting("a", null, "1")))
    assert.isTrue(state.apply(setting("b", "a", "2")))
    assert.isFalse(state.apply(setting("c", "a", "3")))
    assert.isFalse(state.apply(setting("b", "a", "2")))
    assert.strictEqual(state.settings.get("k"), "2")
    assert.strictEqual(state.history(settingEntity("k")).length, 2)
  })

  it("is the same in every process: bytes to state and back", () => {
    const event = setting("a", null, "1")
    const read = codecs.controlEvent.decode(codecs.controlEvent.encode(event))
    assert.deepStrictEqual(JSON.parse(JSON.stringify(read)), event)
  })
})

describe("a rollout", () => {
  it("goes from loading over its stages to the end, and then to the next", () => {
    const { counted, rollout } = folded(started, stage(0), stage(1), stage(2), {
      kind: "RolloutCompleted",
      reason: "",
    })
    assert.isTrue(counted.every(Boolean))
    assert.strictEqual(newShare(rollout), 100)
    assert.deepStrictEqual(
      loadedVersions(rollout).map(({ version }) => version),
      ["2", "1"],
    )
  })

  it("takes no traffic while it loads, and none after it was rolled back", () => {
    assert.strictEqual(newShare(folded(started).rollout), 0)
    const back = folded(started, stage(0), { kind: "RolloutRolledBack", reason: "errors" })
    assert.strictEqual(newShare(back.rollout), 0)
    assert.strictEqual(back.rollout.reason, "errors")
    const gone = folded(
      started,
      { kind: "RolloutRolledBack", reason: "errors" },
      { kind: "VersionRetired", version: "2" },
    )
    assert.deepStrictEqual(
      loadedVersions(gone.rollout).map(({ version }) => version),
      ["1"],
    )
  })

  const paused: ControlChange = { kind: "RolloutPaused", reason: "" }
  const resumed: ControlChange = { kind: "RolloutResumed", reason: "" }
  const over: ControlChange = { kind: "RolloutRolledBack", reason: "" }
  const completed: ControlChange = { kind: "RolloutCompleted", reason: "" }
  const voids: ReadonlyArray<readonly [string, ReadonlyArray<ControlChange>]> = [
    ["a stage that is skipped", [started, stage(1)]],
    ["a stage that is not planned", [started, stage(0), stage(1), stage(2), stage(3)]],
    ["a second start before the first is over and its loser gone", [started, over, started]],
    ["an end before all have the new version", [started, stage(0), completed]],
    ["a pause of what does not run", [started, paused]],
    ["a resumption of what is not paused", [started, stage(0), resumed]],
    ["anything after the end", [started, over, stage(0)]],
    [
      "a retirement of the version that serves",
      [started, over, { kind: "VersionRetired", version: "1" }],
    ],
    ["stages that do not end at 100", [{ ...started, stages: [10, 50] }]],
    ["stages that fall", [{ ...started, stages: [50, 10, 100] }]],
    ["a version that follows itself", [{ ...started, to: "1" }]],
  ]
  for (const [what, changes] of voids) {
    it(`${what} is void`, () => {
      const { counted } = folded(...changes)
      assert.deepStrictEqual(counted, [...changes.slice(1).map(() => true), false])
    })
  }
})
