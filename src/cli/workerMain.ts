// The worker thread's whole program: the layers of `sluice worker`, told to stop by a message where
// a process is told by a signal. It says when it is ready, and why it ends where nobody asked.
import { parentPort, workerData } from "node:worker_threads"
import { Cause, Context, Effect, Exit, Fiber, Layer } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { Process, processLayer } from "./compose.ts"
import { failureMessage } from "./failure.ts"
import type { ThreadAsk, ThreadWord } from "./WorkerThread.ts"

const config: ConfigShape = workerData
const say = (word: ThreadWord) => parentPort?.postMessage(word)

let measure: Process["Service"]["measure"] = () => Promise.resolve([])

const program = Effect.gen(function* () {
  const context = yield* Layer.build(processLayer("worker", config))
  const worker = Context.get(context, Process)
  measure = worker.measure
  say({ kind: "ready", device: worker.device ?? "" })
  return yield* worker.lost
}).pipe(Effect.scoped, Effect.provide(layerLogger(config.logLevel)))

const fiber = Effect.runFork(program)

parentPort?.on("message", (what: ThreadAsk) => {
  if (what === "stop") {
    void Effect.runFork(Fiber.interrupt(fiber))
    return
  }
  void measure().then((snapshot) => say({ kind: "measured", snapshot }))
})

const exit = await Effect.runPromise(Fiber.await(fiber))
if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
  say({ kind: "failed", message: failureMessage(exit.cause, config) })
}
parentPort?.close()
