// Runs one process of Sluice to its end: builds its layers, says that it is ready, and waits for a
// signal or for something it cannot do without. Leaving closes the layers in reverse, which is the
// drain.
import { Cause, Context, Effect, Exit, Fiber, Layer } from "effect"
import type { ConfigShape } from "../config/Config.ts"
import { layerLogger } from "../telemetry/logger.ts"
import { announcement } from "./announce.ts"
import type { ProcessKind } from "./commands.ts"
import { Process, processLayer } from "./compose.ts"
import { failureSentence } from "./failure.ts"
import { checkData, checkModel } from "./folders.ts"
import { onStopSignal } from "./signals.ts"
import type { StartedThread } from "./startThread.ts"
import { EarlyThread } from "./WorkerThread.ts"

const say = (line: string) => void process.stdout.write(`${line}\n`)
const warn = (line: string) => void process.stderr.write(`${line}\n`)

export interface ProcessOptions {
  readonly kind: ProcessKind
  readonly config: ConfigShape
  /** The worker's thread, where it was started ahead. */
  readonly thread: StartedThread | null
}

const program = ({ kind, config, thread }: ProcessOptions) =>
  Effect.gen(function* () {
    yield* checkModel(config)
    if (config.kafka.length === 0) yield* checkData(config)
    const context = yield* Layer.build(processLayer(kind, config))
    const { url, adminUrl, device, lost } = Context.get(context, Process)
    // performance.now() counts from the start of this process: what a person has waited.
    say(announcement({ kind, config, url, adminUrl, device, startMs: performance.now() }))
    return yield* lost
  }).pipe(
    Effect.scoped,
    Effect.provideService(EarlyThread, thread),
    Effect.provide(layerLogger(config.logLevel)),
  )

/** Resolves to the exit code. */
export const runProcess = async (options: ProcessOptions): Promise<number> => {
  const { config } = options
  const fiber = Effect.runFork(program(options))
  const unwatch = onStopSignal(() => void Effect.runFork(Fiber.interrupt(fiber)), warn)
  const exit = await Effect.runPromise(Fiber.await(fiber))
  unwatch()
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return 0
  warn(failureSentence(exit.cause, config))
  return 1
}
