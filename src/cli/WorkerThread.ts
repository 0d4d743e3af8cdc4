// The worker of `sluice serve`, in a thread of its own: stages meet only in logs, so the gateway
// and the worker need not share an event loop, and two cores are used where there are two. Who
// needs it ready waits for `ready`. It knows only the thread's life: what the worker does is
// workerMain.ts and below.
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { Config, type ConfigShape } from "../config/Config.ts"
import { Metrics, type MetricsSnapshot } from "../telemetry/Metrics.ts"
import {
  type StartedThread,
  startProcess,
  startThread,
  type ThreadNews,
  type ThreadWord,
} from "./startThread.ts"

/** A thread that was started ahead and has not begun; null: there is none yet. */
export const EarlyThread = Context.Reference<StartedThread | null>("sluice/cli/EarlyThread", {
  defaultValue: () => null,
})

export class WorkerThreadError extends Schema.TaggedError<WorkerThreadError>()(
  "WorkerThreadError",
  { message: Schema.String },
) {}

/** Its own drain is bounded well below it; a thread that is still there hangs. */
const stopMsMax = 10_000

interface Thread {
  started: StartedThread
  readonly ready: Deferred.Deferred<string, WorkerThreadError>
  readonly lost: Deferred.Deferred<never, WorkerThreadError>
  readonly ended: Deferred.Deferred<void>
  readonly measuring: Array<(snapshot: MetricsSnapshot) => void>
}

const fail = (thread: Thread, message: string): void => {
  const error = Effect.fail(new WorkerThreadError({ message }))
  Deferred.doneUnsafe(thread.ready, error)
  Deferred.doneUnsafe(thread.lost, error)
}

const hear = (thread: Thread, word: ThreadWord): void => {
  switch (word.kind) {
    case "ready":
      Deferred.doneUnsafe(thread.ready, Effect.succeed(word.device))
      return
    case "failed":
      fail(thread, word.message)
      return
    case "measured":
      thread.measuring.shift()?.(word.snapshot)
  }
}

const learn = (thread: Thread, news: ThreadNews): void => {
  if ("word" in news) return hear(thread, news.word)
  if ("died" in news) return fail(thread, `the worker thread died: ${news.died}`)
  fail(thread, "the worker thread ended.")
  for (const give of thread.measuring.splice(0)) give([])
  Deferred.doneUnsafe(thread.ended, Effect.void)
}

const measure = (thread: Thread): Promise<MetricsSnapshot> =>
  Deferred.isDoneUnsafe(thread.ended)
    ? Promise.resolve([])
    : new Promise((resolve) => {
        thread.measuring.push(resolve)
        thread.started.ask({ kind: "measure" })
      })

/** The one that was started ahead, if it is what the configuration wants. */
const startedFor = Effect.fnUntraced(function* ({ development }: ConfigShape) {
  const early = yield* EarlyThread
  if (early?.isProcess === development) return early
  if (early !== null) yield* Effect.promise(() => early.terminate())
  return development ? startProcess() : startThread()
})

/** What another says that was there before is nobody's news any more. */
const begin = (thread: Thread, config: ConfigShape): void => {
  const { started } = thread
  started.listen((news) => {
    if (thread.started === started) learn(thread, news)
  })
  started.ask({ kind: "begin", config })
}

const replace = Effect.fn("WorkerThread.replace")(function* (thread: Thread, config: ConfigShape) {
  const killed = thread.started
  thread.started = startProcess()
  for (const give of thread.measuring.splice(0)) give([])
  begin(thread, config)
  yield* Effect.promise(() => killed.terminate())
})

const stop = Effect.fn("WorkerThread.stop")(function* (thread: Thread) {
  thread.started.ask({ kind: "stop" })
  const ended = yield* Effect.timeoutOption(Deferred.await(thread.ended), stopMsMax)
  if (ended._tag === "None") yield* Effect.promise(() => thread.started.terminate())
})

export class WorkerThread extends Context.Service<
  WorkerThread,
  {
    /** The device, once the worker takes requests. */
    readonly ready: Effect.Effect<string, WorkerThreadError>
    /** Never succeeds; fails when the thread cannot go on. */
    readonly lost: Effect.Effect<never, WorkerThreadError>
    /** kill -9 of a worker that is a process; the next one starts at once. In development only. */
    readonly kill: Effect.Effect<void>
    /** Drains the worker and ends the thread. Idempotent. */
    readonly stop: Effect.Effect<void>
  }
>()("sluice/cli/WorkerThread") {
  static readonly layer = Layer.effect(
    WorkerThread,
    Effect.gen(function* () {
      const config = yield* Config
      const metrics = yield* Metrics
      const thread: Thread = {
        started: yield* startedFor(config),
        ready: yield* Deferred.make<string, WorkerThreadError>(),
        lost: yield* Deferred.make<never, WorkerThreadError>(),
        ended: yield* Deferred.make<void>(),
        measuring: [],
      }
      begin(thread, config)
      metrics.include(() => measure(thread))
      const stopOnce = yield* Effect.cached(stop(thread))
      yield* Effect.addFinalizer(() => stopOnce)
      return {
        ready: Deferred.await(thread.ready),
        lost: Deferred.await(thread.lost),
        stop: stopOnce,
        kill: replace(thread, config),
      }
    }),
  )
}
