// Carries a model's rollouts forward: watches, judges each window once it is over, and writes down
// what follows. Every gateway does so; each decision counts once, by the control log's order, so it
// does not matter how many there are or which of them dies.
import { Clock, Effect, Exit, Schedule, Scope } from "effect"
import type { RolloutState } from "../../../streams/fold/rolloutState.ts"
import { rolloutEntity } from "../../../streams/fold/controlState.ts"
import { Log, type LogError } from "../../../streams/Log.ts"
import { RequestLog } from "../../../streams/RequestLog.ts"
import { requestTopic, tiers } from "../../../streams/topics.ts"
import { Control } from "../Control.ts"
import type { CanaryNumbers } from "./canary.ts"
import { decide } from "./decide.ts"
import { judge } from "./judge.ts"
import { observe } from "./Observation.ts"

const lookEveryMs = 200
/** After a window's end, for its last frames to arrive. */
const lagMs = 200

export interface DeciderOptions {
  readonly model: string
  /** This process, for the log's history. */
  readonly by: string
  /** A worker of the version is ready to take requests. */
  readonly isLoaded: (version: string, nowMs: number) => boolean
}

interface Watched {
  readonly startedAt: number
  readonly scope: Scope.Closeable
  readonly numbers: CanaryNumbers
  /** Windows that were judged since then. */
  since: number
  judged: number
  fault: string | null
}

/** Judges the windows that are over and were not judged yet. */
const judgeOn = (watched: Watched, { plan, since }: RolloutState, nowMs: number): void => {
  if (watched.since !== since) {
    watched.since = since
    watched.judged = 0
  }
  for (;;) {
    const from = since + watched.judged * plan.windowMs
    const to = from + plan.windowMs
    if (to + lagMs > nowMs || watched.fault !== null) return
    const { numbers } = watched
    const next = numbers.between(plan.to, from, to)
    const beside = numbers.between(plan.from, from, to)
    // When hardly anything goes to the old version, what it did before has to do.
    const before = numbers.between(plan.from, watched.startedAt, to)
    const old = beside.firstTokens * 4 < next.firstTokens ? before : beside
    watched.fault = judge(next, old)
    watched.judged++
  }
}

/** Every request of the version has ended, in every tier. */
const isDrained = Effect.fnUntraced(function* (model: string, version: string) {
  const log = yield* Log
  const requests = yield* RequestLog
  for (const tier of tiers) {
    const width = yield* requests.partitions(model, version, tier)
    for (let partition = 0; partition < width; partition++) {
      const at = { topic: requestTopic(model, version, tier), partition }
      if ((yield* requests.settledBelow(at)) < (yield* log.bounds(at)).next) return false
    }
  }
  return true
})

export const runDecider = Effect.fn("Rollout.decider")(function* (options: DeciderOptions) {
  const { model, by, isLoaded } = options
  const control = yield* Control
  const report = Effect.runForkWith(yield* Effect.context<never>())
  let watched: Watched | null = null

  const unwatch = Effect.suspend(() => {
    const scope = watched?.scope
    watched = null
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })

  const watch = Effect.fnUntraced(function* (rollout: RolloutState) {
    if (watched !== null && watched.startedAt === rollout.startedAt) return watched
    yield* unwatch
    const scope = yield* Scope.make()
    const onError = ({ message }: LogError) => {
      report(Effect.logWarning(`the rollout's numbers cannot be followed: ${message}`))
      watched = null
    }
    const numbers = yield* Effect.provideService(observe(rollout, onError), Scope.Scope, scope)
    const { startedAt, since } = rollout
    watched = { startedAt, scope, numbers, since, judged: 0, fault: null }
    return watched
  })

  const look = Effect.gen(function* () {
    const rollout = control.state.rollout(model)
    if (rollout === null || rollout.retired) return yield* unwatch
    const nowMs = yield* Clock.currentTimeMillis
    const { plan, phase, since } = rollout
    const now = yield* watch(rollout)
    if (phase === "running" || phase === "paused") judgeOn(now, rollout, nowMs)
    const isOver = phase === "completed" || phase === "rolledBack"
    const change = decide(rollout, {
      nowMs,
      isLoaded: isLoaded(plan.to, nowMs),
      fault: now.fault,
      isJudged: since + (now.judged + 1) * plan.windowMs > since + plan.stageMs,
      isDrained: isOver && (yield* isDrained(model, phase === "completed" ? plan.from : plan.to)),
    })
    if (change === null) return
    yield* control.decide({ entity: rolloutEntity(model), change, by })
    yield* Effect.logInfo("rollout").pipe(
      Effect.annotateLogs({ model, version: plan.to, change: change.kind, by }),
    )
  })

  yield* Effect.addFinalizer(() => unwatch)
  yield* look.pipe(
    // Somebody else was first: the next look sees what they decided.
    Effect.catchTag("ControlError", () => Effect.void),
    Effect.catch((error) => Effect.logWarning(`a rollout stands still: ${error.message}`)),
    Effect.repeat(Schedule.spaced(lookEveryMs)),
    Effect.forkScoped,
  )
})
