// Follows the logs of a rollout's two versions from its beginning, or from a day before where that
// is later, and keeps their numbers. It writes nothing; a process that starts in the middle reads
// what the others have read.
import { Effect, type Scope } from "effect"
import { codecs } from "../../../schemas/codec.ts"
import { Log, type LogError } from "../../../streams/Log.ts"
import { readRecords } from "../../../streams/readRecord.ts"
import type { RolloutState } from "../../../streams/fold/rolloutState.ts"
import { requestTopic, tiers, tokenTopic } from "../../../streams/topics.ts"
import { partitionsOf } from "../../../streams/partitionsOf.ts"
import { CanaryNumbers } from "./canary.ts"

const tailFrom = Effect.fnUntraced(function* (
  topic: string,
  since: number,
  onBytes: (records: Parameters<typeof readRecords>[1]) => void,
  onError: (error: LogError) => void,
) {
  const log = yield* Log
  const from = new Map<number, number>()
  for (let partition = 0; partition < (yield* partitionsOf(topic)); partition++) {
    from.set(partition, yield* log.offsetAt({ topic, partition }, since))
  }
  yield* log.tail({ topic, from, onRecords: (_, records) => onBytes(records), onError })
})

/** The numbers go on growing until the scope closes. */
export const observe = Effect.fn("Rollout.observe")(function* (
  { plan, startedAt }: RolloutState,
  onError: (error: LogError) => void,
): Effect.fn.Return<CanaryNumbers, LogError, Log | Scope.Scope> {
  const numbers = new CanaryNumbers()
  for (const version of [plan.from, plan.to]) {
    for (const tier of tiers) {
      const onRequests: Parameters<typeof tailFrom>[2] = (records) => {
        for (const { value } of readRecords(codecs.requestAccepted, records)) {
          if (value !== null) numbers.onRequest(value)
        }
      }
      yield* tailFrom(requestTopic(plan.model, version, tier), startedAt, onRequests, onError)
    }
  }
  const onFrames: Parameters<typeof tailFrom>[2] = (records) => {
    for (const { value } of readRecords(codecs.tokenFrame, records)) {
      if (value !== null) numbers.onFrame(value)
    }
  }
  yield* tailFrom(tokenTopic, startedAt, onFrames, onError)
  return numbers
})
