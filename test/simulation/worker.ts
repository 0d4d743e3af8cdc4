// A worker of the simulation: the product's Worker with the scripted engine, over a faulty log. A
// request whose prompt begins with the poison id kills the process a little after the engine has
// it.
import { Effect, Exit, Layer, Scope } from "effect"
import { Config, type ConfigShape } from "../../src/config/Config.ts"
import { Engine } from "../../src/generate/engine/Engine.ts"
import {
  makeScriptedEngine,
  type ScriptedEngine,
  type ScriptedOptions,
} from "../../src/generate/engine/ScriptedEngine.ts"
import { Worker } from "../../src/generate/Worker.ts"
import { Metrics } from "../../src/telemetry/Metrics.ts"
import type { Log } from "../../streams/Log.ts"
import { layerLetters } from "../support/layerLetters.ts"
import { typedLogs } from "./logs.ts"
import type { Machine } from "./Machine.ts"

export const poisonId = 7

/** How long a poisoned process lives on. */
const poisonMsMax = 12

const layerMetrics = Layer.succeed(Metrics, {
  requestEnded: () => {},
  refused: () => {},
  firstToken: () => {},
  interToken: () => {},
  step: () => {},
  queueDepth: () => {},
  tokensPerSecond: () => {},
  gauge: () => {},
  count: () => {},
  observe: () => {},
  snapshot: () => Promise.resolve([]),
  include: () => {},
  exposition: () => Promise.resolve(""),
})

/** What a worker needs besides logs and an engine. */
export const layerSurroundings = Layer.mergeAll(layerMetrics, layerLetters)

export interface WorkerParts {
  readonly machine: Machine
  readonly log: Log["Service"]
  readonly config: ConfigShape
  readonly engine: Omit<ScriptedOptions, "now">
  readonly poisonAfterMs: () => number
  readonly onPoisoned: () => void
}

export class SimulatedWorker {
  readonly machine: Machine
  readonly scripted: ScriptedEngine
  readonly #scope = Scope.makeUnsafe()
  isReady = false

  constructor(parts: WorkerParts) {
    const { machine, log, config } = parts
    this.machine = machine
    this.scripted = makeScriptedEngine({ ...parts.engine, now: machine.now })
    const { engine } = this.scripted
    const poisonable = Engine.of({
      ...engine,
      submit: (sequence) => {
        if (sequence.promptIds[0] === poisonId) {
          machine.after(parts.poisonAfterMs() * poisonMsMax, () => {
            parts.onPoisoned()
            machine.kill()
          })
        }
        return engine.submit(sequence)
      },
    })
    const layer = Layer.fresh(Worker.layer).pipe(
      Layer.provide(Layer.succeed(Engine, poisonable)),
      Layer.provide(Layer.succeed(Config, config)),
      Layer.provide(Layer.mergeAll(typedLogs(log), layerSurroundings)),
    )
    machine.fork(
      Effect.gen({ self: this }, function* () {
        const built = Layer.buildWithScope(layer, this.#scope)
        // Retention passed where it was about to begin: the process ends, and starts anew.
        const context = yield* Effect.catchIf(
          built,
          ({ reason }) => reason === "outOfRange",
          () =>
            Effect.as(
              Effect.sync(() => machine.kill()),
              null,
            ),
        )
        if (context === null) return
        this.isReady = true
        const { lost } = yield* Effect.provide(Worker, context)
        // As the command does it: what was in flight is continued from the log by another.
        yield* Effect.catch(lost, () => Effect.sync(() => machine.kill()))
      }),
    )
  }

  /** SIGTERM: it drains, and then it is gone. */
  leave(): void {
    this.machine.fork(
      Effect.andThen(
        Scope.close(this.#scope, Exit.void),
        Effect.sync(() => this.machine.kill()),
      ),
    )
  }
}
