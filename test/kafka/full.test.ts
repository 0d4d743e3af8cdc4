// Appends that Kafka has not taken yet are bounded: what comes beyond is refused at once, and all
// that was taken arrives.
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Log } from "../../streams/Log.ts"
import { unique } from "../support/services/addresses.ts"
import { testLog, useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()

it.live(
  "appends past 64 MiB are refused until there is room again",
  () =>
    Effect.gen(function* () {
      const log = yield* Log
      const name = unique("full")
      const kept = { retentionMs: 3_600_000, retentionBytes: 1 << 30 }
      yield* log.createTopics([{ name, partitions: 1, cleanup: "delete", ...kept }])
      const value = new Uint8Array(1024 * 1024)
      const outcomes: Array<string> = []
      for (let i = 0; i < 80; i++) {
        log.appendThen({ topic: name, partition: 0 }, [{ key: null, value }], (error) =>
          outcomes.push(error?.reason ?? "taken"),
        )
      }
      while (outcomes.length < 80) yield* Effect.sleep(20)
      const taken = outcomes.filter((outcome) => outcome === "taken").length
      assert.deepStrictEqual(new Set(outcomes), new Set(["taken", "full"]))
      assert.strictEqual(taken, 64)
      const { next } = yield* log.bounds({ topic: name, partition: 0 })
      assert.strictEqual(next, taken)
      yield* log.append({ topic: name, partition: 0 }, [{ key: null, value }])
    }).pipe(Effect.provide(testLog(bootstrap))),
  60_000,
)
