// Requests that are given up for good: their record goes to the dead letters first, and only when
// that is durable does the token log say so. A death between the two leaves a letter too many,
// never one too few.
import { Effect, Queue } from "effect"
import type { DeadLetter } from "../../schemas/types.ts"
import type { LogError } from "../../streams/Log.ts"
import type { InFlight, Origin } from "./inFlight.ts"

export interface Burial {
  /** null: the record was no request, so there is nobody to tell. */
  readonly item: InFlight | null
  readonly origin: Origin
  readonly record: Uint8Array
  readonly code: string
  readonly message: string
}

export interface BuryOptions {
  readonly burials: Queue.Dequeue<Burial>
  readonly append: (letter: DeadLetter) => Effect.Effect<unknown, LogError>
  readonly now: () => number
  readonly buried: (burial: Burial) => void
}

const letterOf = ({ item, record, code, message }: Burial, deadAt: number): DeadLetter => ({
  requestId: item?.request.requestId ?? "",
  deadAt,
  attempts: item?.history?.state.attempt ?? 0,
  code,
  message,
  request: record,
})

/** Runs until the dead letters cannot be written any more. */
export const buryAll = Effect.fn("Worker.buryAll")(function* (options: BuryOptions) {
  for (;;) {
    const burial = yield* Queue.take(options.burials)
    yield* options.append(letterOf(burial, options.now()))
    yield* Effect.logError("request given up").pipe(
      Effect.annotateLogs({
        requestId: burial.item?.request.requestId ?? "",
        code: burial.code,
        ...burial.origin,
      }),
    )
    options.buried(burial)
  }
})
