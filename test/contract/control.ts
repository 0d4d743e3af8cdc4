// The control log and the fold of it, on any log: what is decided is in force everywhere, who comes
// second is told so, and a process that starts later knows all of it.
import { assert } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { Control } from "../../src/control/Control.ts"
import { rollbackSetting, setSetting, settingHistory } from "../../src/control/settings.ts"
import { codecs } from "../../schemas/codec.ts"
import { ControlLog } from "../../streams/ControlLog.ts"
import { settingEntity } from "../../streams/fold/controlState.ts"
import { Log, type LogError } from "../../streams/Log.ts"
import { controlTopic, sharedTopics } from "../../streams/topics.ts"
import { topicOptions } from "../support/relay.ts"
import { eventually } from "./log.ts"

/** Controls that share nothing but the log, as processes of their own would. */
const makeProcesses = Effect.fnUntraced(function* (layerLog: Layer.Layer<Log, LogError>) {
  const context = yield* Layer.build(layerLog)
  const log = yield* Effect.provide(Log, context)
  yield* log.createTopics(sharedTopics(topicOptions))
  const layer = Layer.fresh(Control.layer).pipe(
    Layer.provide(ControlLog.layer),
    Layer.provide(Layer.succeedContext(context)),
  )
  const start = Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    return yield* Layer.buildWithScope(layer, scope)
  })
  return { log, start }
})

interface Case {
  readonly says: string
  readonly run: (
    layerLog: Layer.Layer<Log, LogError>,
    key: "limits.choicesMax" | "limits.promptsMax" | "limits.logprobsMax",
  ) => Effect.Effect<void, unknown, Scope.Scope>
}

export const controlCases: ReadonlyArray<Case> = [
  {
    says: "a change is in force in every process within a second, and in one that starts later",
    run: Effect.fnUntraced(function* (layerLog, key) {
      const { start } = yield* makeProcesses(layerLog)
      const [one, other] = yield* Effect.all([start, start])
      yield* Effect.provide(setSetting(key, 7, "me"), one)
      const valueIn = (process: typeof one) =>
        Effect.provide(
          Effect.map(Control, ({ state }) => state.settings.get(key)),
          process,
        )
      assert.strictEqual(yield* valueIn(one), "7")
      const there = yield* Effect.provide(Control, other)
      yield* Effect.timeout(
        eventually("the change elsewhere", () => there.state.settings.get(key) === "7"),
        1000,
      )
      assert.strictEqual(yield* valueIn(yield* start), "7")
    }),
  },
  {
    says: "of many that decide at once, by what they have read, one does",
    run: Effect.fnUntraced(function* (layerLog, key) {
      const { start } = yield* makeProcesses(layerLog)
      const processes = yield* Effect.all([start, start, start])
      const exits = yield* Effect.all(
        processes.map((process, i) =>
          Effect.exit(Effect.provide(setSetting(key, i + 1, `process-${i}`), process)),
        ),
        { concurrency: "unbounded" },
      )
      // Who had read the first one's event already came after it, and counts too.
      const decided = exits.filter(Exit.isSuccess).map(({ value }) => value.eventId)
      const histories = yield* Effect.all(
        [...processes, yield* start].map((process) => Effect.provide(settingHistory(key), process)),
      )
      for (const history of histories) {
        const own = history.slice(-decided.length).map(({ eventId }) => eventId)
        assert.sameMembers(own, decided)
      }
      assert.isAtLeast(decided.length, 1)
    }),
  },
  {
    says: "history only grows, and going back is a change of its own",
    run: Effect.fnUntraced(function* (layerLog, key) {
      const { start } = yield* makeProcesses(layerLog)
      const process = yield* start
      const first = yield* Effect.provide(setSetting(key, 3, "me"), process)
      yield* Effect.provide(setSetting(key, 4, "me"), process)
      yield* Effect.provide(rollbackSetting(key, null, "me"), process)
      yield* Effect.provide(setSetting(key, 5, "me"), process)
      yield* Effect.provide(rollbackSetting(key, first.eventId, "me"), process)
      const history = yield* Effect.provide(settingHistory(key), yield* start)
      assert.deepStrictEqual(
        history.slice(-5).map(({ value }) => value),
        ["3", "4", "3", "5", "3"],
      )
    }),
  },
  {
    says: "a wrong value is refused, and nothing is written",
    run: Effect.fnUntraced(function* (layerLog) {
      const { log, start } = yield* makeProcesses(layerLog)
      const process = yield* start
      const { next } = yield* log.bounds({ topic: controlTopic, partition: 0 })
      const refused = (key: string, value: unknown) =>
        Effect.map(
          Effect.flip(Effect.provide(setSetting(key, value, "me"), process)),
          ({ message }) => message,
        )
      assert.match(yield* refused("limits.promptsMax", 0), /whole number from 1 to 4096/)
      assert.match(yield* refused("limits.promptMax", 1), /did you mean "limits.promptsMax"/)
      assert.match(yield* refused("port", 80), /read at a start only/)
      assert.match(yield* refused("apiKeys", []), /one key at least/)
      const after = yield* log.bounds({ topic: controlTopic, partition: 0 })
      assert.strictEqual(after.next, next)
    }),
  },
  {
    says: "the same event again, and what is no event, change nothing",
    run: Effect.fnUntraced(function* (layerLog, key) {
      const { log, start } = yield* makeProcesses(layerLog)
      const process = yield* start
      const event = yield* Effect.provide(setSetting(key, 9, "me"), process)
      const at = { topic: controlTopic, partition: 0 }
      const again = { key: event.eventId, value: codecs.controlEvent.encode(event) }
      yield* log.append(at, [again])
      yield* log.append(at, [{ key: "rubbish", value: Buffer.from("rubbish") }])
      yield* Effect.provide(setSetting(key, 10, "me"), process)
      const { state } = yield* Effect.provide(Control, yield* start)
      assert.strictEqual(state.settings.get(key), "10")
      const ids = state.history(settingEntity(key)).map(({ eventId }) => eventId)
      assert.strictEqual(ids.filter((id) => id === event.eventId).length, 1)
    }),
  },
]

/** One topic for all: what a case asserts of a key holds whatever was there before. */
export const controlKeys = ["limits.choicesMax", "limits.promptsMax", "limits.logprobsMax"] as const
