// The worker thread's whole program: the layers of `sluice worker`, told to stop by a message where
// a process is told by a signal. It begins when it gets its settings, and says when it is ready,
// and why it ends where nobody asked.
import { parentPort } from "node:worker_threads"
import { Cause, Context, Effect, Exit, Fiber, Layer } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { Process, processLayer } from "./compose.ts"
import { failureMessage } from "./failure.ts"
import type { ThreadAsk, ThreadWord } from "./startThread.ts"

const say = (word: ThreadWord) => parentPort?.postMessage(word)

let measure: Process["Service"]["measure"] = () => Promise.resolve([])
let stop = (): void => void parentPort?.close()

const program = (config: ConfigShape) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(processLayer("worker", config))
    const worker = Context.get(context, Process)
    measure = worker.measure
    say({ kind: "ready", device: worker.device ?? "" })
    return yield* worker.lost
  }).pipe(Effect.scoped, Effect.provide(layerLogger(config.logLevel)))

const begin = async (config: ConfigShape): Promise<void> => {
  const fiber = Effect.runFork(program(config))
  stop = () => void Effect.runFork(Fiber.interrupt(fiber))
  const exit = await Effect.runPromise(Fiber.await(fiber))
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
    say({ kind: "failed", message: failureMessage(exit.cause, config) })
  }
  parentPort?.close()
}

parentPort?.on("message", (asked: ThreadAsk) => {
  switch (asked.kind) {
    case "begin":
      return void begin(asked.config)
    case "stop":
      return stop()
    case "measure":
      return void measure().then((snapshot) => say({ kind: "measured", snapshot }))
  }
})
