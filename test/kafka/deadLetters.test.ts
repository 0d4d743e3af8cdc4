// `sluice dead-letters` on a real Kafka: the same command, another log.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { codecs } from "../../schemas/codec.ts"
import { deadLettersCommand } from "../../src/cli/deadLetters.ts"
import { topicsOf } from "../../src/cli/store.ts"
import { defaults } from "../../src/config/settings.ts"
import { DeadLetterLog } from "../../streams/DeadLetterLog.ts"
import { Log } from "../../streams/Log.ts"
import { RequestLog } from "../../streams/RequestLog.ts"
import { newRequestId } from "../../streams/requestId.ts"
import { acceptedRequest } from "../support/enqueue.ts"
import { unique } from "../support/services/addresses.ts"
import { testLog, useKafka } from "../support/services/testKafka.ts"

const { bootstrap } = useKafka()
const model = unique("dead-letters")

const layerLogs = Layer.mergeAll(DeadLetterLog.layer, RequestLog.layer).pipe(
  Layer.provideMerge(testLog(bootstrap)),
)

describe("sluice dead-letters on Kafka", () => {
  it.live(
    "lists, shows and replays",
    () =>
      Effect.gen(function* () {
        const kafka = bootstrap().split(",")
        const config = { ...defaults(), kafka, registry: "none", servedModelName: model }
        const run = Effect.fnUntraced(function* (action: string, name: string | null = null) {
          const lines: Array<string> = []
          const say = (line: string) => lines.push(line)
          const code = yield* Effect.promise(() =>
            deadLettersCommand(
              config,
              { action, name, withPrompts: false },
              { out: say, err: say },
            ),
          )
          assert.strictEqual(code, 0, lines.join("\n"))
          return lines.join("\n")
        })
        const log = yield* Log
        yield* log.createTopics(topicsOf(config))
        const requestId = newRequestId(Date.now())
        const request = acceptedRequest({ requestId, model })
        yield* (yield* DeadLetterLog).append({
          requestId,
          deadAt: Date.now(),
          attempts: 5,
          code: "attempts_exhausted",
          message: "Given up.",
          request: codecs.requestAccepted.encode(request),
        })
        assert.include(yield* run("list"), requestId)
        assert.match(yield* run("show", requestId), /^claims +5$/m)
        const again = (yield* run("replay", requestId)).split(" ").at(-1) ?? ""
        const found = yield* (yield* RequestLog).find(again)
        assert.isTrue(typeof found === "object" && found.model === model)
      }).pipe(Effect.provide(layerLogs)),
    60_000,
  )
})
