// The whole program of the worker of `sluice serve`, thread or process: the layers of `sluice
// worker`, told to stop by a message where a process is told by a signal. It begins when it gets
// its settings, and says when it is ready, and why it ends where nobody asked. As a process it
// leaves signals to its parent, and ends when that is gone.
import { parentPort } from "node:worker_threads"
import { Cause, Context, Effect, Exit, Fiber, Layer } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { Process, processLayer } from "./compose.ts"
import { failureMessage } from "./failure.ts"
import type { ThreadAsk, ThreadWord } from "./startThread.ts"

const say = (word: ThreadWord): void => {
  if (parentPort !== null) parentPort.postMessage(word)
  else if (process.connected) process.send?.(word, undefined, {}, () => {})
}

const close = (): void => {
  if (parentPort !== null) parentPort.close()
  else process.exit()
}

let measure: Process["Service"]["measure"] = () => Promise.resolve([])
let stop = close

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
  close()
}

const hear = (asked: ThreadAsk): void => {
  switch (asked.kind) {
    case "begin":
      return void begin(asked.config)
    case "stop":
      return stop()
    case "measure":
      return void measure().then((snapshot) => say({ kind: "measured", snapshot }))
  }
}

if (parentPort !== null) parentPort.on("message", hear)
else {
  process.on("message", hear)
  process.on("disconnect", () => stop())
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {})
}
