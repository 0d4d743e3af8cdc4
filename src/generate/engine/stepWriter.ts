// Packs a step in the layout of stepOutput.ts, for the scripted engine and for tests of the reader.
// The native writer is native/engine/step_output.cc. One growing buffer is reused for every step.
import type { TokenLogprob } from "../../../schemas/types.ts"
import { stepEntryWords, stepHeaderWords, stepLayoutVersion } from "./stepOutput.ts"
import type { StepEntry, StepFinish, StepOutput } from "./stepOutput.ts"

const finishCodes: Readonly<Record<StepFinish, number>> = {
  stop: 1,
  length: 2,
  cancelled: 3,
  failed: 4,
  unmatched: 5,
}

export interface StepWriter {
  readonly entry: (entry: StepEntry) => void
  readonly entries: () => number
  /** The packed step; valid until the next call of `entry`. The writer then starts afresh. */
  readonly finish: (header: Omit<StepOutput, "entries">) => Uint32Array
}

export const makeStepWriter = (): StepWriter => {
  let words = new Uint32Array(4096)
  let floats = new Float32Array(words.buffer)
  let at = stepHeaderWords
  let entries = 0

  const reserve = (count: number): void => {
    if (at + count <= words.length) return
    const larger = new Uint32Array(Math.max(words.length * 2, at + count))
    larger.set(words)
    words = larger
    floats = new Float32Array(words.buffer)
  }
  const scores = (list: ReadonlyArray<TokenLogprob>): void => {
    for (const score of list) {
      reserve(2 + 2 * score.top.length)
      floats[at++] = score.logprob
      words[at++] = score.top.length
      for (const top of score.top) {
        words[at++] = top.id
        floats[at++] = top.logprob
      }
    }
  }
  return {
    entry: (entry) => {
      reserve(stepEntryWords + entry.ids.length)
      words[at++] = entry.sequence
      words[at++] = entry.finish === null ? 0 : finishCodes[entry.finish]
      words[at++] = entry.stopToken === null ? 0 : entry.stopToken + 1
      words[at++] = entry.position
      words[at++] = entry.ids.length
      words[at++] = entry.cachedTokens
      words[at++] = (entry.logprobs ? 1 : 0) | (entry.promptLogprobs ? 2 : 0)
      for (const id of entry.ids) words[at++] = id
      if (entry.logprobs) scores(entry.logprobs)
      if (entry.promptLogprobs) {
        reserve(1)
        words[at++] = entry.promptLogprobs.length
        scores(entry.promptLogprobs)
      }
      entries++
    },
    entries: () => entries,
    finish: (header) => {
      words.set([
        stepLayoutVersion,
        header.step >>> 0,
        Math.floor(header.step / 2 ** 32),
        entries,
        header.batchTokens,
        header.batchSequences,
        header.running,
        header.waiting,
        header.preempted,
        header.blocksFree,
        header.blocks,
        header.durationUs,
      ])
      const packed = words.subarray(0, at)
      at = stepHeaderWords
      entries = 0
      return packed
    },
  }
}
