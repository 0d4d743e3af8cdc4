// Everything that crosses to the addon, in the order of native/addon/addon.cc. Plain types made for
// the crossing: absent is null, nothing is optional, numbers carry their unit. The addon checks
// types (a TypeError names the field's path) and decides nothing; defaults and limits are
// NativeEngine's.
import type { GrammarTokens } from "../../tokenizer/Grammars.ts"
import type { DeviceGauges, EngineSampling } from "./Engine.ts"

/** Opaque; of one environment (thread). */
export interface NativeHandle {
  readonly nativeHandle: unique symbol
}

/** A model's grammars; of one environment, shared beneath it by the whole process. */
export interface NativeGrammars {
  readonly nativeGrammars: unique symbol
}

export interface NativeInfo {
  /** The Node whose headers it was built with. */
  readonly nodeVersion: string
  readonly cpu: string
  /** The widest instructions that the kernels will use here: scalar, avx2, avx512. */
  readonly isa: string
  /** Cores that this process may use, its control group's quota counted. */
  readonly threads: number
  /** Bytes that this process may still take, its control group's limit counted. */
  readonly memoryAvailableBytes: number
}

/** One thing that a GPU needs, as it was looked for: the driver, the device, a library. */
export interface NativeFinding {
  readonly name: string
  readonly usable: boolean
  /** What was found, or why it is not used. */
  readonly text: string
}

export interface NativeOpenOptions {
  readonly folder: string
  readonly dtype: string
  /** "auto": a GPU where one runs this model, else the CPU. */
  readonly device: "auto" | "cpu" | "cuda"
  /** The share of a GPU's memory that may be used. */
  readonly deviceMemory: number
  /** On a GPU: the same bits alone and in a crowd. The CPU gives them always. */
  readonly deterministic: boolean
  /** 0: what this process may use. */
  readonly threads: number
  /** 0: the model's own. */
  readonly contextTokensMax: number
  readonly sequencesMax: number
  readonly batchTokensMax: number
  /** One sequence's tokens in one step; 0: no bound but batchTokensMax. */
  readonly chunkTokensMax: number
  readonly waitingMax: number
  /** 0: a share of the memory there is. */
  readonly kvBytes: number
  /** Host memory for preempted sequences; null: a quarter of the KV. */
  readonly swapBytes: number | null
  readonly prefixCache: boolean
  readonly eosIds: Uint32Array
}

export interface NativeOpened {
  readonly handle: NativeHandle
  readonly device: string
  readonly dtype: string
  /** Why no GPU is used, where one was looked for; else "". */
  readonly deviceNote: string
  /** Where a GPU's memory goes; empty on the CPU. */
  readonly memory: ReadonlyArray<{ readonly name: string; readonly bytes: number }>
  readonly vocabSize: number
  readonly contextTokensMax: number
  readonly sequencesMax: number
  readonly blocks: number
  readonly blockTokens: number
}

/** Lists go over as typed arrays. */
export interface NativeSequence extends Omit<EngineSampling, "logitBias" | "stopTokenIds"> {
  readonly sequence: number
  readonly promptIds: Uint32Array
  readonly generatedIds: Uint32Array
  readonly biasIds: Uint32Array
  readonly biases: Float32Array
  readonly stopTokenIds: Uint32Array
  readonly priority: number
  readonly arrivedAtMs: number
  readonly cacheSalt: string
  /** null: it may say anything, and the two texts are empty. */
  readonly grammars: NativeGrammars | null
  readonly grammarKind: string
  readonly grammarText: string
}

/** One of SubmitRefusal's names, null where it was taken. */
export type NativeRefusal = "queueFull" | "tooLong" | "invalid" | "unsupported" | "closed" | null

export interface NativeStats {
  readonly running: number
  readonly waiting: number
  readonly blocksFree: number
  readonly blocks: number
  readonly steps: number
  readonly prefixHitTokens: number
  readonly promptTokens: number
  readonly preemptions: number
  readonly masks: number
  readonly maskUsP50: number
  readonly maskUsP99: number
  readonly lastStepAtMs: number
}

/** Bytes read of the model's weights. */
export type NativeProgress = (doneBytes: number, totalBytes: number) => void

/** A packed step, or, once and last, why the engine was lost; the other is null. */
export type NativeReceive = (step: ArrayBuffer | null, lost: string | null) => void

export interface NativeQuantizeOptions {
  readonly folder: string
  /** Has everything but model.safetensors, which is written into it. */
  readonly outFolder: string
  readonly method: "awq" | "round" | "int8"
  readonly groupInputs: number
  /** 0: what this process may use. */
  readonly threads: number
  /** What to calibrate and to measure on: whole rows; empty: the model writes its own. */
  readonly ids: Uint32Array
  readonly rowTokens: number
  /** How many it writes. */
  readonly rows: number
  /** The last of the rows: measured on, not calibrated on. */
  readonly heldOutRows: number
  /** What a text begins with, and what ends one. */
  readonly startIds: Uint32Array
  readonly eosIds: Uint32Array
}

export interface NativeQuantized {
  /** Of the rows held out. */
  readonly perplexityBefore: number
  readonly perplexityAfter: number
}

export type NativeQuantizeStage = "writing" | "scoring" | "layer"

export type NativeQuantizeProgress = (
  stage: NativeQuantizeStage,
  done: number,
  total: number,
) => void

export interface Native {
  readonly nativeInfo: () => NativeInfo
  readonly nativeDevices: () => ReadonlyArray<NativeFinding>
  /** One entry a GPU. */
  readonly nativeGauges: () => ReadonlyArray<DeviceGauges>
  /** Cheap: nothing is opened before the first grammar. */
  readonly grammarsOpen: (tokens: GrammarTokens) => NativeGrammars
  /**
   * null, or the sentence that says why this grammar cannot be followed; rejects with an Error
   * named EngineUnsupported where the grammar library is missing.
   */
  readonly grammarCheck: (
    grammars: NativeGrammars,
    kind: string,
    text: string,
  ) => Promise<string | null>
  /** Loads on a thread of its own; rejects with an Error whose name EngineError.ts knows. */
  readonly engineOpen: (
    options: NativeOpenOptions,
    progress: NativeProgress,
    receive: NativeReceive,
  ) => Promise<NativeOpened>
  /** Never waits. */
  readonly engineSubmit: (handle: NativeHandle, sequence: NativeSequence) => NativeRefusal
  readonly engineCancel: (handle: NativeHandle, sequence: number) => void
  readonly engineStats: (handle: NativeHandle) => NativeStats
  /** Resolves when the engine's thread has ended, after the step that runs. Idempotent. */
  readonly engineClose: (handle: NativeHandle) => Promise<void>
  /** Works on a thread of its own; rejects as engineOpen does. */
  readonly modelQuantize: (
    options: NativeQuantizeOptions,
    progress: NativeQuantizeProgress,
  ) => Promise<NativeQuantized>
}
