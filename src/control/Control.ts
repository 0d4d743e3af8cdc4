// What the control log says, kept current in this process, and the way to add to it: append, read
// on to the own event, and see whether it counted. Starting waits until all that was there is read,
// so that no process works by what was in force before.
import { randomUUID } from "node:crypto"
import { Clock, Context, Deferred, Effect, Layer, Schema } from "effect"
import type { ControlChange, ControlEvent } from "../../schemas/types.ts"
import { ControlLog } from "../../streams/ControlLog.ts"
import { ControlState } from "../../streams/fold/controlState.ts"
import type { LogError } from "../../streams/Log.ts"
import type { ReadRecord } from "../../streams/readRecord.ts"

export class ControlError extends Schema.TaggedError<ControlError>()("ControlError", {
  /**
   * overtaken: somebody else changed the same at the same time, or it no longer applies; look
   * again. refused: it cannot be done. notThere: there is nothing of that name.
   */
  reason: Schema.Literals(["overtaken", "refused", "notThere"]),
  message: Schema.String,
}) {}

export interface Decision {
  readonly entity: string
  readonly change: ControlChange
  /** Who asked, or which process decided. */
  readonly by: string
}

type Outcome = Deferred.Deferred<boolean, LogError>

const make = Effect.gen(function* () {
  const log = yield* ControlLog
  const report = Effect.runForkWith(yield* Effect.context<never>())
  const state = new ControlState()
  const listeners = new Set<(event: ControlEvent) => void>()
  const asked = new Map<string, Outcome>()
  const caughtUp = yield* Deferred.make<void, LogError>()
  const { first, next } = yield* log.bounds
  let lost: LogError | null = null

  const take = ({ value, offset }: ReadRecord<ControlEvent>) => {
    if (value !== null) {
      const counts = state.apply(value)
      const outcome = asked.get(value.eventId)
      if (outcome !== undefined) Deferred.doneUnsafe(outcome, Effect.succeed(counts))
      if (counts) for (const listener of listeners) listener(value)
    }
    if (offset >= next - 1) Deferred.doneUnsafe(caughtUp, Effect.void)
  }
  yield* log.tail({
    onEvents: (events) => events.forEach(take),
    // What is in force stays in force, and says that it may be old.
    onError: (error) => {
      lost = error
      Deferred.doneUnsafe(caughtUp, Effect.fail(error))
      for (const outcome of asked.values()) Deferred.doneUnsafe(outcome, Effect.fail(error))
      report(Effect.logError(`the control log cannot be followed: ${error.message}`))
    },
  })
  if (next > first) yield* Deferred.await(caughtUp)

  const decide = Effect.fn("Control.decide")(function* ({ entity, change, by }: Decision) {
    if (lost !== null) return yield* lost
    const at = yield* Clock.currentTimeMillis
    const event = { eventId: randomUUID(), at, by, entity, after: state.head(entity), change }
    const outcome: Outcome = yield* Deferred.make<boolean, LogError>()
    asked.set(event.eventId, outcome)
    const counts = yield* log
      .append(event)
      .pipe(
        Effect.andThen(Deferred.await(outcome)),
        Effect.ensuring(Effect.sync(() => asked.delete(event.eventId))),
      )
    if (counts) return event
    const message = `${entity} was changed by somebody else at the same time; look, and ask again.`
    return yield* new ControlError({ reason: "overtaken", message })
  })

  return Control.of({
    state,
    decide,
    onCounted: (listener) => void listeners.add(listener),
  })
})

export class Control extends Context.Service<
  Control,
  {
    /** As far as it was read; changes under its reader. */
    readonly state: ControlState
    /** Durable and in force here when it succeeds. */
    readonly decide: (decision: Decision) => Effect.Effect<ControlEvent, ControlError | LogError>
    /** Called for each event that counts from now on. */
    readonly onCounted: (listener: (event: ControlEvent) => void) => void
  }
>()("sluice/control/Control") {
  static readonly layer = Layer.effect(Control, make)
}
