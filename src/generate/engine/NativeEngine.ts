// The native engine as an Engine: opened from a model folder, closed with its scope. Its thread
// runs the steps; this side only converts. Opening takes as long as reading the weights and says
// how far it is.
import { Effect, Layer, type Scope } from "effect"
import { basename } from "node:path"
import { Config } from "../../config/Config.ts"
import type { GrammarTokens } from "../../tokenizer/Grammars.ts"
import { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import { admissible } from "./admissible.ts"
import { Engine, type EngineSequence, type EngineStats, type SubmitRefusal } from "./Engine.ts"
import { EngineError, toEngineError } from "./EngineError.ts"
import { loadNative } from "./loadNative.ts"
import { grammarTokens } from "./grammars.ts"
import type {
  Native,
  NativeGrammars,
  NativeHandle,
  NativeOpened,
  NativeOpenOptions,
  NativeSequence,
} from "./native.ts"
import { readStep, type StepOutput } from "./stepOutput.ts"

export interface NativeEngineOptions extends Omit<NativeOpenOptions, "eosIds"> {
  /** null: sequences with a grammar are refused. */
  readonly grammarTokens: GrammarTokens | null
  readonly model: string
  readonly eosIds: ReadonlyArray<number>
  readonly progress: (doneBytes: number, totalBytes: number) => void
}

/** Sequences that wait inside the engine; the worker's own bound is far below. */
const waitingMax = 4096

export const nativeDefaults: Omit<NativeEngineOptions, "folder" | "model" | "eosIds"> = {
  dtype: "auto",
  device: "auto",
  deviceMemory: 0.9,
  deterministic: false,
  threads: 0,
  contextTokensMax: 0,
  sequencesMax: 64,
  batchTokensMax: 1024,
  chunkTokensMax: 0,
  waitingMax,
  kvBytes: 0,
  swapBytes: null,
  prefixCache: true,
  grammarTokens: null,
  progress: () => {},
}

/** The engine ends with the scope, after the step that then runs. */
export const openNative = Effect.fn("NativeEngine.open")(function* (
  options: NativeEngineOptions,
): Effect.fn.Return<Engine["Service"], EngineError, Scope.Scope> {
  const native = yield* Effect.try({
    try: loadNative,
    catch: (error) => new EngineError({ reason: "notBuilt", message: String(error) }),
  })
  const receiver = makeReceiver()
  const opened = yield* Effect.acquireRelease(open(native, options, receiver), ({ handle }) =>
    Effect.promise(() => native.engineClose(handle)),
  )
  if (opened.deviceNote !== "") yield* Effect.logInfo(opened.deviceNote)
  for (const line of memoryTable(opened)) yield* Effect.logInfo(line)
  return makeEngine({ native, opened, options, receiver })
})

const open = (native: Native, options: NativeEngineOptions, receiver: Receiver) =>
  Effect.tryPromise({
    try: () => {
      const { model: _, grammarTokens: __, progress, eosIds, ...rest } = options
      const ids = Uint32Array.from(eosIds)
      return native.engineOpen({ ...rest, eosIds: ids }, progress, receiver.receive)
    },
    catch: (error) => error,
  }).pipe(
    Effect.catch((error) => {
      const known = toEngineError(error)
      return known === null ? Effect.die(error) : Effect.fail(known)
    }),
  )

const memoryTable = ({ memory }: NativeOpened): ReadonlyArray<string> =>
  memory.map(({ name, bytes }) => {
    const mebibytes = (bytes / 2 ** 20).toFixed(0)
    return `device memory: ${name.padEnd(32)} ${mebibytes.padStart(8)} MiB`
  })

interface Receiver {
  readonly stepListeners: Array<(step: StepOutput) => void>
  readonly lostListeners: Array<(message: string) => void>
  readonly receive: (step: ArrayBuffer | null, lost: string | null) => void
}

const makeReceiver = (): Receiver => {
  const stepListeners: Receiver["stepListeners"] = []
  const lostListeners: Receiver["lostListeners"] = []
  const deliver = (step: ArrayBuffer | null, lost: string | null): void => {
    if (step !== null) {
      const output = readStep(new Uint32Array(step))
      for (const listener of stepListeners) listener(output)
    }
    if (lost !== null) for (const listener of lostListeners) listener(lost)
  }
  return {
    stepListeners,
    lostListeners,
    receive: (step, lost) => {
      try {
        deliver(step, lost)
      } catch (error) {
        // Node only warns of an exception under a native callback. A listener that throws is a
        // defect of ours, and the process must not go on without the step.
        queueMicrotask(() => {
          throw error
        })
      }
    },
  }
}

interface Parts {
  readonly native: Native
  readonly opened: NativeOpened
  readonly options: NativeEngineOptions
  readonly receiver: Receiver
}

const makeEngine = ({ native, opened, options, receiver }: Parts): Engine["Service"] => {
  const { handle, deviceNote: _, memory: __, ...info } = opened
  const isOnDevice = !info.device.startsWith("cpu")
  const limits = { ...info, positionsMax: info.blocks * info.blockTokens }
  const { grammarTokens: tokens } = options
  const grammars = tokens === null ? null : native.grammarsOpen(tokens)
  return Engine.of({
    info: { ...info, model: options.model, eosIds: options.eosIds },
    submit: (sequence): SubmitRefusal | null =>
      admissible(sequence, limits) ??
      (sequence.grammar !== null && grammars === null
        ? "unsupported"
        : native.engineSubmit(handle, toNative(sequence, grammars))),
    cancel: (sequence) => native.engineCancel(handle, sequence),
    onStep: (listener) => void receiver.stepListeners.push(listener),
    onLost: (listener) => void receiver.lostListeners.push(listener),
    stats: () => statsOf(native, handle),
    devices: () => (isOnDevice ? native.nativeGauges() : []),
  })
}

const statsOf = (native: Native, handle: NativeHandle): EngineStats => {
  const { lastStepAtMs, ...stats } = native.engineStats(handle)
  return { ...stats, lastStepAt: lastStepAtMs }
}

const toNative = (sequence: EngineSequence, grammars: NativeGrammars | null): NativeSequence => {
  const { grammar } = sequence
  const { logitBias, stopTokenIds, ...sampling } = sequence.sampling
  return {
    ...sampling,
    sequence: sequence.sequence,
    promptIds: Uint32Array.from(sequence.promptIds),
    generatedIds: Uint32Array.from(sequence.generatedIds),
    biasIds: Uint32Array.from(logitBias, ({ token }) => token),
    biases: Float32Array.from(logitBias, ({ bias }) => bias),
    stopTokenIds: Uint32Array.from(stopTokenIds),
    priority: sequence.priority,
    arrivedAtMs: sequence.arrivedAt,
    cacheSalt: sequence.cacheSalt,
    grammars: grammar === null ? null : grammars,
    grammarKind: grammar?.kind ?? "",
    grammarText: grammar?.text ?? "",
  }
}

/** Weights above it are worth a line of progress now and then. */
const progressFromBytes = 256 * 2 ** 20
const progressLines = 10

/** From the configuration; end-of-sequence ids are the tokenizer's, so that both mean the same. */
export const layerNative: Layer.Layer<Engine, EngineError, Config | Tokenizer> = Layer.effect(
  Engine,
  Effect.gen(function* () {
    const config = yield* Config
    const tokenizer = yield* Tokenizer
    const run = Effect.runForkWith(yield* Effect.context())
    let line = 0
    const { threads, sequencesMax, batchTokensMax, contextTokensMax } = config.worker
    return yield* openNative({
      ...nativeDefaults,
      folder: config.model,
      model: config.servedModelName || basename(config.model),
      dtype: config.dtype,
      device: config.device,
      deviceMemory: config.gpuMemory,
      deterministic: config.deterministic,
      threads,
      sequencesMax,
      batchTokensMax,
      contextTokensMax,
      kvBytes: config.worker.kvBytes,
      prefixCache: config.worker.prefixCache,
      eosIds: tokenizer.model.eosIds,
      grammarTokens: grammarTokens(tokenizer.model),
      progress: (done, total) => {
        const now = Math.floor((done / total) * progressLines)
        if (total < progressFromBytes || now <= line) return
        line = now
        run(Effect.logInfo(`loading weights: ${(now * 100) / progressLines} %`))
      },
    })
  }),
)
