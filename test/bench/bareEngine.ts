// The native engine alone, without server or log: what everything around it is measured against.
import { Effect, type Scope } from "effect"
import type { Engine } from "../../src/generate/engine/Engine.ts"
import { nativeDefaults, openNative } from "../../src/generate/engine/NativeEngine.ts"

export interface BareRun {
  readonly promptIds: ReadonlyArray<number>
  readonly maxTokens: number
}

export const withEngine = <A>(
  folder: string,
  use: (engine: Engine["Service"]) => Effect.Effect<A, unknown, Scope.Scope>,
): Promise<A> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const options = { ...nativeDefaults, folder, model: "bare", eosIds: [], prefixCache: false }
      return yield* use(yield* openNative(options))
    }).pipe(Effect.scoped),
  )

/** ms from the submission of each sequence to its first token and to its last. */
export interface BareTimes {
  readonly firstMs: number
  readonly lastMs: number
}

let handles = 0

/** Runs all at once; resolves when the last has ended. */
export const runBare = (
  engine: Engine["Service"],
  runs: ReadonlyArray<BareRun>,
): Promise<ReadonlyArray<BareTimes>> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    const first = new Map<number, number>()
    const last = new Map<number, number>()
    const base = handles
    handles += runs.length
    engine.onLost((message) => reject(new Error(message)))
    engine.onStep((step) => {
      const at = performance.now() - started
      for (const { sequence, ids, finish } of step.entries) {
        if (sequence < base || sequence >= base + runs.length) continue
        if (ids.length > 0 && !first.has(sequence)) first.set(sequence, at)
        if (finish !== null) last.set(sequence, at)
      }
      if (last.size < runs.length) return
      resolve(
        runs.map((_, index) => ({
          firstMs: first.get(base + index) ?? Number.NaN,
          lastMs: last.get(base + index) ?? Number.NaN,
        })),
      )
    })
    for (const [index, run] of runs.entries()) {
      const refusal = engine.submit({
        sequence: base + index,
        promptIds: run.promptIds,
        generatedIds: [],
        sampling: { ...greedy, maxTokens: run.maxTokens },
        priority: 1,
        arrivedAt: 0,
        cacheSalt: "",
      })
      if (refusal !== null) reject(new Error(`the engine refused: ${refusal}`))
    }
  })

const greedy = {
  minTokens: 0,
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  seed: 0,
  choice: 0,
  stopTokenIds: [],
  ignoreEos: true,
  logprobs: -1,
  promptLogprobs: -1,
}

/** Ids that no tokenizer is needed for: spread over the vocabulary's ordinary part. */
export const promptOf = (index: number, tokens: number): ReadonlyArray<number> =>
  Array.from({ length: tokens }, (_, at) => 16 + ((index * 7919 + at * 104_729) % 4000))
