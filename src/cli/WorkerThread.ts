// The worker of `sluice serve`, in a thread of its own: stages meet only in logs, so the gateway
// and the worker need not share an event loop, and two cores are used where there are two. The
// thread begins at once; who needs it ready waits for `ready`. It knows only the thread's life:
// what the worker does is workerMain.ts and below.
import { Worker } from "node:worker_threads"
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { Config } from "../config/Config.ts"
import { Metrics, type MetricsSnapshot } from "../telemetry/Metrics.ts"

/** What the thread says. */
export type ThreadWord =
  | { readonly kind: "ready"; readonly device: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "measured"; readonly snapshot: MetricsSnapshot }

/** What it is asked: to end gracefully, or for its metrics, which come in the asking's order. */
export type ThreadAsk = "stop" | "measure"

export class WorkerThreadError extends Schema.TaggedError<WorkerThreadError>()(
  "WorkerThreadError",
  { message: Schema.String },
) {}

/** Its own drain is bounded well below it; a thread that is still there hangs. */
const stopMsMax = 10_000

interface Thread {
  readonly worker: Worker
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

/** Beside this file, in the language in which this file runs. */
const threadFile = () => {
  const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js"
  return new URL(`./workerMain.${suffix}`, import.meta.url)
}

const start = (thread: Thread): void => {
  const { worker } = thread
  worker.on("message", (word: ThreadWord) => hear(thread, word))
  worker.on("error", (error: Error) => fail(thread, `the worker thread died: ${error.message}`))
  worker.on("exit", () => {
    fail(thread, "the worker thread ended.")
    for (const give of thread.measuring.splice(0)) give([])
    Deferred.doneUnsafe(thread.ended, Effect.void)
  })
}

const ask = ({ worker }: Thread, what: ThreadAsk): void => worker.postMessage(what)

const measure = (thread: Thread): Promise<MetricsSnapshot> =>
  Deferred.isDoneUnsafe(thread.ended)
    ? Promise.resolve([])
    : new Promise((resolve) => {
        thread.measuring.push(resolve)
        ask(thread, "measure")
      })

const stop = Effect.fn("WorkerThread.stop")(function* (thread: Thread) {
  ask(thread, "stop")
  const ended = yield* Effect.timeoutOption(Deferred.await(thread.ended), stopMsMax)
  if (ended._tag === "None") yield* Effect.promise(() => thread.worker.terminate())
})

export class WorkerThread extends Context.Service<
  WorkerThread,
  {
    /** The device, once the worker takes requests. */
    readonly ready: Effect.Effect<string, WorkerThreadError>
    /** Never succeeds; fails when the thread cannot go on. */
    readonly lost: Effect.Effect<never, WorkerThreadError>
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
        worker: new Worker(threadFile(), { workerData: config }),
        ready: yield* Deferred.make<string, WorkerThreadError>(),
        lost: yield* Deferred.make<never, WorkerThreadError>(),
        ended: yield* Deferred.make<void>(),
        measuring: [],
      }
      start(thread)
      metrics.include(() => measure(thread))
      const stopOnce = yield* Effect.cached(stop(thread))
      yield* Effect.addFinalizer(() => stopOnce)
      return {
        ready: Deferred.await(thread.ready),
        lost: Deferred.await(thread.lost),
        stop: stopOnce,
      }
    }),
  )
}
