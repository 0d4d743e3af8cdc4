// The packed result of one engine step: one buffer, little-endian u32 words, the same layout in
// native/engine/step_output.h and here.
//
//   header  [0] layout version = 1   [1] step, low   [2] step, high   [3] entries
//           [4] tokens computed      [5] sequences in the batch       [6] running after
//           [7] waiting after        [8] preempted in this step       [9] blocks free
//           [10] blocks              [11] duration, us
//   entry   [0] sequence             [1] finish (0 none 1 stop 2 length 3 cancelled 4 failed)
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

export type StepFinish = "stop" | "length" | "cancelled" | "failed"

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
