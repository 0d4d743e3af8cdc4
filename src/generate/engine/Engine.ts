// What the worker asks of an engine. Two layers: the native addon, and a scripted twin for tests
// and for measuring everything around the engine. One call in for a request, one call out for a
// step.
import { Context } from "effect"
import type { RequestGrammar, Sampling } from "../../../schemas/types.ts"
import type { StepOutput } from "./stepOutput.ts"

export interface EngineInfo {
  readonly model: string
  /** "cpu (avx2, 2 threads)", "scripted" ... */
  readonly device: string
  readonly dtype: string
  readonly vocabSize: number
  /** prompt + output of one sequence, tokens */
  readonly contextTokensMax: number
  readonly sequencesMax: number
  readonly blocks: number
  readonly blockTokens: number
  readonly eosIds: ReadonlyArray<number>
}

/** What the request says of it, but for what is done to the text. */
export interface EngineSampling extends Omit<
  Sampling,
  "stop" | "skipSpecialTokens" | "includeStop"
> {
  /** The generator's stream tag: choices of one request draw apart. */
  readonly choice: number
}

export interface EngineSequence {
  /** The caller's handle, u32, unique among sequences not yet ended. */
  readonly sequence: number
  readonly promptIds: ArrayLike<number>
  /**
   * Ids that earlier attempts logged: fed, never sampled; they count as output for positions,
   * penalties, minTokens and maxTokens.
   */
  readonly generatedIds: ArrayLike<number>
  readonly sampling: EngineSampling
  /** 0 first. */
  readonly priority: number
  /** ms since the epoch; orders within a priority, with ageing. */
  readonly arrivedAt: number
  /** Prefix cache entries are shared within one salt only. */
  readonly cacheSalt: string
  /** What the output must match, as far as it goes; null: anything. */
  readonly grammar: RequestGrammar | null
}

/** Why a sequence was not taken; it will get no step output. */
export type SubmitRefusal = "queueFull" | "tooLong" | "invalid" | "unsupported" | "closed"

export interface EngineStats {
  readonly running: number
  readonly waiting: number
  readonly blocksFree: number
  readonly blocks: number
  readonly steps: number
  readonly prefixHitTokens: number
  readonly promptTokens: number
  readonly preemptions: number
  /** Of grammars, since the start; and the work of one, of the newest 4,096. */
  readonly masks: number
  readonly maskUsP50: number
  readonly maskUsP99: number
  readonly lastStepAt: number
}

/** A GPU's state now; null: it does not say. */
export interface DeviceGauges {
  readonly utilisationPercent: number | null
  readonly memoryUsedBytes: number | null
  readonly memoryTotalBytes: number | null
  readonly temperatureCelsius: number | null
  readonly powerWatts: number | null
}

export class Engine extends Context.Service<
  Engine,
  {
    readonly info: EngineInfo
    /** null: taken. Never blocks. */
    readonly submit: (sequence: EngineSequence) => SubmitRefusal | null
    /**
     * Idempotent; unknown handles are ignored. If it was live, an entry with finish "cancelled"
     * follows.
     */
    readonly cancel: (sequence: number) => void
    /** Called once a step, with all of the step's outputs; valid only during the call. */
    readonly onStep: (listener: (step: StepOutput) => void) => void
    /** Called once if the engine dies (a lost device, a failed step); it takes nothing more. */
    readonly onLost: (listener: (message: string) => void) => void
    readonly stats: () => EngineStats
    /** One entry a GPU; empty on a CPU. */
    readonly devices: () => ReadonlyArray<DeviceGauges>
  }
>()("sluice/generate/Engine") {}
