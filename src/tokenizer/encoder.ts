// Where a text is encoded: short ones here and now, long ones on a thread of their own, so that a
// prompt of a megabyte does not stop every stream for half a second. The thread starts with the
// first long text; what waits for it is bounded, and past the bound a text is refused as busy.
import { Worker } from "node:worker_threads"
import { Clock, Effect, type Scope } from "effect"
import { Pace } from "../telemetry/Pace.ts"
import { type Encode, makeEncode, type Wrapping } from "./encode.ts"
import type { ThreadAnswer, ThreadData, ThreadRequest } from "./encodeThread.ts"
import { damaged, type ModelFolder, specialText } from "./modelFolder.ts"
import { textUnitsMax } from "./textLimit.ts"
import { TokenizerError, type TokenizerModel } from "./Tokenizer.ts"

/** UTF-16 units; at 0.5 us a unit a text of this length holds the event loop for 2 ms. */
const inlineUnitsMax = 4_096
const waitingTextsMax = 64
/** Units of all texts that wait together. */
const waitingUnitsMax = 32 * 1024 * 1024

export interface EncoderLimits {
  readonly inlineUnitsMax: number
  readonly waitingTextsMax: number
  readonly waitingUnitsMax: number
}

const encoderLimits: EncoderLimits = { inlineUnitsMax, waitingTextsMax, waitingUnitsMax }

export type EncodeText = (
  text: string,
  addSpecialTokens: boolean,
) => Effect.Effect<ReadonlyArray<number>, TokenizerError>

/**
 * transformers' Llama classes, and folders without a post-processor, add special tokens by
 * add_bos_token and add_eos_token; all others by their post-processor alone.
 */
const wrappingOf = (folder: ModelFolder, model: TokenizerModel): Wrapping | null => {
  const config = folder.tokenizerConfig
  const isLlama = /^(Code)?LlamaTokenizer(Fast)?$/.test(config.tokenizer_class ?? "")
  if (!isLlama && (folder.tokenizer.post_processor ?? null) !== null) return null
  const addsBos = config.add_bos_token ?? isLlama
  const eosText = config.add_eos_token === true ? specialText(folder, "eos_token") : null
  const eosId = folder.tokenizer.added_tokens.find(({ content }) => content === eosText)?.id
  return {
    before: addsBos && model.bosId !== null ? [model.bosId] : [],
    after: eosId === undefined ? [] : [eosId],
  }
}

const threadFile = new URL(
  import.meta.url.endsWith(".ts") ? "./encodeThread.ts" : "./encodeThread.js",
  import.meta.url,
)

interface Waiting {
  readonly units: number
  readonly done: (result: Effect.Effect<ReadonlyArray<number>, TokenizerError>) => void
}

interface Fullness {
  readonly retryAfterMs: number
  readonly numbers: Readonly<Record<string, number>>
}

const busy = (message: string, fullness: Partial<Fullness> = {}) =>
  new TokenizerError({ reason: "busy", message, ...fullness })

const tooLong = (units: number, unitsMax: number) =>
  new TokenizerError({
    reason: "tooLong",
    message:
      `The text has ${units} characters; no text over ${unitsMax} characters can fit this ` +
      "model's context.",
  })

const notEncodable = () =>
  new TokenizerError({
    reason: "notEncodable",
    message: "the tokenizer could not encode this text",
  })

/** One thread, started when needed, restarted after it died; answers come in the asking order. */
class EncodingThread {
  readonly #data: ThreadData
  readonly #limits: EncoderLimits
  #worker: Worker | null = null
  #waiting: Array<Waiting> = []
  #waitingUnits = 0
  readonly #now: () => number
  readonly #pace = new Pace()
  /** When the first of those that wait came to its turn. */
  #turnAt = 0
  /** The thread has answered: what it takes from now on is encoding, not starting. */
  #isWarm = false

  constructor(data: ThreadData, limits: EncoderLimits, now: () => number) {
    this.#data = data
    this.#limits = limits
    this.#now = now
  }

  ask(request: ThreadRequest, done: Waiting["done"]): void {
    const units = request.text.length
    const isFull =
      this.#waiting.length >= this.#limits.waitingTextsMax ||
      (this.#waiting.length > 0 && this.#waitingUnits + units > this.#limits.waitingUnitsMax)
    if (isFull) {
      const numbers = {
        texts_waiting: this.#waiting.length,
        texts_max: this.#limits.waitingTextsMax,
        characters_waiting: this.#waitingUnits,
        characters_max: this.#limits.waitingUnitsMax,
      }
      const message = "too many long texts wait to be tokenized; try again"
      const retryAfterMs = this.#pace.waitMs(this.#waitingUnits)
      return done(Effect.fail(busy(message, { retryAfterMs, numbers })))
    }
    if (this.#waiting.length === 0) this.#turnAt = this.#now()
    this.#waiting.push({ units, done })
    this.#waitingUnits += units
    this.#worker ??= this.#start()
    this.#worker.ref()
    this.#worker.postMessage(request)
  }

  close(): Promise<unknown> {
    const worker = this.#worker
    this.#lose("the tokenizer is closed")
    return worker === null ? Promise.resolve() : worker.terminate()
  }

  #start(): Worker {
    this.#isWarm = false
    const worker = new Worker(threadFile, { workerData: this.#data, execArgv: [] })
    worker.on("message", (ids: ThreadAnswer) => this.#answer(ids))
    const lost = () => {
      if (this.#worker === worker) this.#lose("the encoding thread stopped; try again")
    }
    worker.on("error", lost)
    worker.on("exit", lost)
    return worker
  }

  #answer(ids: ThreadAnswer): void {
    const first = this.#waiting.shift()
    if (first === undefined) return
    this.#waitingUnits -= first.units
    const now = this.#now()
    if (this.#isWarm) this.#pace.took(first.units, now - this.#turnAt)
    this.#isWarm = true
    this.#turnAt = now
    if (this.#waiting.length === 0) this.#worker?.unref()
    first.done(ids === null ? Effect.fail(notEncodable()) : Effect.succeed(Array.from(ids)))
  }

  #lose(message: string): void {
    const waiting = this.#waiting
    this.#worker = null
    this.#waiting = []
    this.#waitingUnits = 0
    for (const { done } of waiting) done(Effect.fail(busy(message)))
  }
}

const encodeHere = (encode: Encode, text: string, addSpecialTokens: boolean) =>
  Effect.try({
    try: (): ReadonlyArray<number> => Array.from(encode(text, addSpecialTokens)),
    catch: notEncodable,
  })

export const makeEncoder = Effect.fn("Tokenizer.makeEncoder")(function* (
  folder: ModelFolder,
  model: TokenizerModel,
  limits: EncoderLimits = encoderLimits,
): Effect.fn.Return<EncodeText, TokenizerError, Scope.Scope> {
  const wrapping = wrappingOf(folder, model)
  const encode = yield* Effect.try({
    try: () => makeEncode({ ...folder.raw, wrapping }),
    catch: (cause) =>
      damaged("tokenizer.json", cause instanceof Error ? cause.message : String(cause)),
  })
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const thread = yield* Effect.acquireRelease(
    Effect.sync(() => new EncodingThread({ folder: folder.path, wrapping }, limits, now)),
    (opened) => Effect.promise(() => opened.close()),
  )
  const unitsMax = textUnitsMax(folder)
  return (text, addSpecialTokens) => {
    if (text.length <= limits.inlineUnitsMax) return encodeHere(encode, text, addSpecialTokens)
    if (text.length > unitsMax) return Effect.fail(tooLong(text.length, unitsMax))
    return Effect.callback((resume) => thread.ask({ text, addSpecialTokens }, resume))
  }
})
