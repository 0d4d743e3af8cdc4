// A bad version goes back by itself within two windows, and what it had begun ends all the same:
// one that is slow, one that answers with one token over and over, one whose worker keeps dying.
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { Control } from "../../src/control/Control.ts"
import { runDecider } from "../../src/control/rollout/Decider.ts"
import { versionFor } from "../../src/control/rollout/split.ts"
import { startRollout } from "../../src/control/rollout/steer.ts"
import { ControlLog } from "../../streams/ControlLog.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { modelTopics } from "../../streams/topics.ts"
import { accepted } from "../support/generate.ts"
import { isEnded, makeWorld, type WorkerOptions, worldTopics } from "../support/workerWorld.ts"

const windowMs = 700
const everyMs = 5
/** For the last frames of a window, the decider's look, and a machine that does other things. */
const slackMs = 900

const makeRollout = Effect.fnUntraced(function* () {
  const world = yield* makeWorld
  yield* world.log.createTopics(modelTopics("scripted", "2", worldTopics))
  yield* world.worker({ version: "1" })
  const context = yield* Layer.build(Control.layer.pipe(Layer.provide(ControlLog.layer))).pipe(
    Effect.provide(world.context),
  )
  const control = yield* Effect.provide(Control, context)
  const isLoaded = () => true
  yield* runDecider({ model: "scripted", by: "test", isLoaded }).pipe(
    Effect.provide(context),
    Effect.provide(world.context),
  )
  const plan = {
    kind: "RolloutStarted" as const,
    ...{ model: "scripted", from: "1", to: "2", fromSource: "/1", source: "/2" },
    ...{ stages: [50, 100], stageMs: 60_000, windowMs, graceMs: 0 },
  }
  yield* Effect.provide(startRollout(plan, "test"), context)
  const ids: Array<string> = []
  /** 200 requests a second, split as a gateway splits them, until the rollout is over. */
  const load = Effect.gen(function* () {
    for (;;) {
      const rollout = control.state.rollout("scripted")
      if (rollout === null || rollout.phase === "rolledBack") return
      assert.notStrictEqual(rollout.phase, "completed")
      const requestId = newRequestId(yield* Clock.currentTimeMillis)
      const version = versionFor(rollout, requestId)
      ids.push(requestId)
      const asked = { requestId, version, prompts: [[97, 97]] }
      yield* world.send(accepted({ maxTokens: 12 }, asked), ids.length % 2)
      yield* Effect.sleep(everyMs)
    }
  })
  const history = Effect.sync(() => control.state.history("rollout/scripted"))
  return { world, load, ids, history, rollout: () => control.state.rollout("scripted") }
})

const cases: ReadonlyArray<{
  readonly says: string
  readonly engine?: NonNullable<WorkerOptions["engine"]>
  /** Its worker dies so often. */
  readonly diesEveryMs?: number
  readonly reason: RegExp
}> = [
  { says: "is slow", engine: { stepIntervalMs: 500 }, reason: /^time to first token, p95: / },
  {
    says: "answers with one token over and over",
    engine: { vocabSize: 98 },
    reason: /^broken answers: /,
  },
  { says: "keeps losing its worker", diesEveryMs: 150, reason: /^workers lost: |^time to first/ },
]

describe("a version that", () => {
  for (const { says, engine = {}, diesEveryMs, reason } of cases) {
    it.live(
      `${says} goes back within two windows, and nothing of it is lost`,
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const { world, load, ids, history, rollout } = yield* makeRollout()
            const start = world.worker({ version: "2", engine })
            if (diesEveryMs === undefined) yield* start
            else {
              const life = Effect.gen(function* () {
                const worker = yield* start
                yield* Effect.sleep(diesEveryMs)
                yield* worker.kill
              })
              yield* Effect.forkScoped(Effect.forever(life))
            }
            yield* load
            const events = yield* history
            const kinds = events.map(({ change }) => change.kind)
            assert.deepStrictEqual(kinds.slice(0, 3), [
              "RolloutStarted",
              "RolloutStageEntered",
              "RolloutRolledBack",
            ])
            assert.match(rollout()?.reason ?? "", reason)
            const tookMs = (events[2]?.at ?? 0) - (events[1]?.at ?? 0)
            assert.isAtMost(tookMs, 2 * windowMs + slackMs)
            // What is left of it is finished by the version that serves.
            yield* world.worker({ version: "2" })
            for (const id of ids) {
              const state = yield* world.until(id, isEnded)
              assert.strictEqual(state.terminal?.outcome, "finished", id)
              assert.strictEqual(state.terminal?.completionTokens, 12)
            }
          }),
        ),
      40_000,
    )
  }
})
