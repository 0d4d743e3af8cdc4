// The packed result of one engine step: one buffer, little-endian u32 words, the same layout in
// native/engine/step_output.h and here.
//
//   header  [0] layout version = 1   [1] step, low   [2] step, high   [3] entries
//           [4] tokens computed      [5] sequences in the batch       [6] running after
//           [7] waiting after        [8] preempted in this step       [9] blocks free
//           [10] blocks              [11] duration, us
//   entry   [0] sequence    [1] finish: 0 none 1 stop 2 length 3 cancelled 4 failed 5 unmatched
//           [2] stop token + 1, or 0 (end of sequence counts as 0)     [3] position of the first id
//           [4] ids                  [5] prompt tokens served from the prefix cache
//           [6] flags: 1 = output logprobs follow, 2 = prompt logprobs follow
//           then ids x u32
//           then, for each id if flag 1: f32 logprob, u32 k, k x (u32 id, f32 logprob)
//           then, if flag 2: u32 tokens, and for each the same record (prompt tokens 1..)
import type { TokenLogprob } from "../../../schemas/types.ts"

export const stepLayoutVersion = 1
export const stepHeaderWords = 12
export const stepEntryWords = 7

/** unmatched: its grammar could not be compiled, or not be followed within its limits. */
export type StepFinish = "stop" | "length" | "cancelled" | "failed" | "unmatched"

export interface StepEntry {
  readonly sequence: number
  readonly finish: StepFinish | null
  /** The stop token that ended it; null at end of sequence and for every other finish. */
  readonly stopToken: number | null
  readonly position: number
  readonly ids: ReadonlyArray<number>
  readonly cachedTokens: number
  readonly logprobs: ReadonlyArray<TokenLogprob> | null
  readonly promptLogprobs: ReadonlyArray<TokenLogprob> | null
}

export interface StepOutput {
  readonly step: number
  readonly batchTokens: number
  readonly batchSequences: number
  readonly running: number
  readonly waiting: number
  readonly preempted: number
  readonly blocksFree: number
  readonly blocks: number
  readonly durationUs: number
  readonly entries: ReadonlyArray<StepEntry>
}

const finishes: ReadonlyArray<StepFinish | null> = [
  null,
  "stop",
  "length",
  "cancelled",
  "failed",
  "unmatched",
]

/** Reads one packed step. Both writers are ours, so it trusts all of the layout but its version. */
export const readStep = (words: Uint32Array): StepOutput => {
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length)
  const cursor: Cursor = { words, floats, at: 0 }
  const version = next(cursor)
  if (version !== stepLayoutVersion) throw new Error(`step layout ${version}: rebuild the addon`)
  const stepLow = next(cursor)
  const step = next(cursor) * 2 ** 32 + stepLow
  const entryCount = next(cursor)
  const output = {
    step,
    batchTokens: next(cursor),
    batchSequences: next(cursor),
    running: next(cursor),
    waiting: next(cursor),
    preempted: next(cursor),
    blocksFree: next(cursor),
    blocks: next(cursor),
    durationUs: next(cursor),
    entries: new Array<StepEntry>(entryCount),
  }
  for (let i = 0; i < entryCount; i++) output.entries[i] = readEntry(cursor)
  return output
}

interface Cursor {
  readonly words: Uint32Array
  readonly floats: Float32Array
  at: number
}

const next = (cursor: Cursor): number => {
  const word = cursor.words[cursor.at++]
  if (word === undefined) throw new Error("step output ends early")
  return word
}

const readEntry = (cursor: Cursor): StepEntry => {
  const sequence = next(cursor)
  const finish = finishes[next(cursor)] ?? null
  const stop = next(cursor)
  const position = next(cursor)
  const count = next(cursor)
  const cachedTokens = next(cursor)
  const flags = next(cursor)
  const ids = new Array<number>(count)
  for (let i = 0; i < count; i++) ids[i] = next(cursor)
  return {
    sequence,
    finish,
    stopToken: stop === 0 ? null : stop - 1,
    position,
    ids,
    cachedTokens,
    logprobs: flags & 1 ? readLogprobs(cursor, count) : null,
    promptLogprobs: flags & 2 ? readLogprobs(cursor, next(cursor)) : null,
  }
}

const readLogprobs = (cursor: Cursor, count: number): ReadonlyArray<TokenLogprob> => {
  const scores = new Array<TokenLogprob>(count)
  for (let i = 0; i < count; i++) {
    const logprob = nextFloat(cursor)
    const top = new Array<TokenLogprob["top"][number]>(next(cursor))
    for (let k = 0; k < top.length; k++) top[k] = { id: next(cursor), logprob: nextFloat(cursor) }
    scores[i] = { logprob, top }
  }
  return scores
}

const nextFloat = (cursor: Cursor): number => {
  const value = cursor.floats[cursor.at++]
  if (value === undefined) throw new Error("step output ends early")
  return value
}
