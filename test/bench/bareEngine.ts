// The native engine alone, without server or log: what everything around it is measured against.
import { Effect } from "effect"
import type { Engine } from "../../src/generate/engine/Engine.ts"
import { nativeDefaults, openNative } from "../../src/generate/engine/NativeEngine.ts"
import { greedySampling } from "../support/engineSequence.ts"

export interface BareRun {
  readonly promptIds: ReadonlyArray<number>
  readonly maxTokens: number
}

/** ms from the submission of a sequence to its first token and to its last. */
export interface BareTimes {
  readonly firstMs: number
  readonly lastMs: number
}

export interface BareEngine {
  readonly device: string
  /** Runs all at once; resolves when the last has ended. */
  readonly run: (runs: ReadonlyArray<BareRun>) => Promise<ReadonlyArray<BareTimes>>
}

export const withEngine = <A>(
  folder: string,
  use: (engine: BareEngine) => Promise<A>,
): Promise<A> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const options = { ...nativeDefaults, folder, model: "bare", eosIds: [], prefixCache: false }
      const engine = yield* openNative(options)
      return yield* Effect.promise(() => use(bareEngine(engine)))
    }).pipe(Effect.scoped),
  )

interface Running {
  readonly started: number
  readonly first: Map<number, number>
  readonly last: Map<number, number>
  readonly sequences: ReadonlyArray<number>
  readonly resolve: (times: ReadonlyArray<BareTimes>) => void
}

export const bareEngine = (engine: Engine["Service"]): BareEngine => {
  let handles = 0
  let running: Running | null = null
  engine.onStep((step) => {
    if (running === null) return
    const { first, last, sequences, started, resolve } = running
    const at = performance.now() - started
    for (const { sequence, ids, finish } of step.entries) {
      if (ids.length > 0 && !first.has(sequence)) first.set(sequence, at)
      if (finish !== null) last.set(sequence, at)
    }
    if (last.size < sequences.length) return
    running = null
    const time = (times: Map<number, number>, sequence: number) => times.get(sequence) ?? Number.NaN
    resolve(sequences.map((one) => ({ firstMs: time(first, one), lastMs: time(last, one) })))
  })
  const run: BareEngine["run"] = (runs) =>
    new Promise((resolve, reject) => {
      const sequences = runs.map(() => handles++)
      running = {
        started: performance.now(),
        first: new Map(),
        last: new Map(),
        sequences,
        resolve,
      }
      engine.onLost((message) => reject(new Error(message)))
      for (const [index, { promptIds, maxTokens }] of runs.entries()) {
        const refusal = engine.submit({
          sequence: sequences[index] ?? 0,
          promptIds,
          generatedIds: [],
          sampling: { ...greedySampling, maxTokens },
          priority: 1,
          arrivedAt: 0,
          grammar: null,
          cacheSalt: "",
        })
        if (refusal !== null) reject(new Error(`the engine refused: ${refusal}`))
      }
    })
  return { device: `${engine.info.device}, ${engine.info.dtype}`, run }
}

/** Ids that no tokenizer is needed for: spread over the vocabulary's ordinary part. */
export const promptOf = (index: number, tokens: number): ReadonlyArray<number> =>
  Array.from({ length: tokens }, (_, at) => 16 + ((index * 7919 + at * 104_729) % 4000))
