// Gathers an engine's step outputs into one transcript a sequence.
import type { TokenLogprob } from "../../schemas/types.ts"
import type { Engine, EngineSequence } from "../../src/generate/engine/Engine.ts"
import type { StepEntry, StepFinish } from "../../src/generate/engine/stepOutput.ts"

export interface Transcript {
  readonly ids: Array<number>
  readonly logprobs: Array<TokenLogprob>
  promptLogprobs: ReadonlyArray<TokenLogprob> | null
  firstPosition: number
  positionsAreContiguous: boolean
  cachedTokens: number
  finish: StepFinish | null
  stopToken: number | null
}

const emptyTranscript = (): Transcript => ({
  ids: [],
  logprobs: [],
  promptLogprobs: null,
  firstPosition: -1,
  positionsAreContiguous: true,
  cachedTokens: 0,
  finish: null,
  stopToken: null,
})

const add = (transcript: Transcript, entry: StepEntry): void => {
  if (transcript.firstPosition < 0) transcript.firstPosition = entry.position
  const expected = transcript.firstPosition + transcript.ids.length
  transcript.positionsAreContiguous &&= entry.position === expected
  transcript.ids.push(...entry.ids)
  if (entry.logprobs) transcript.logprobs.push(...entry.logprobs)
  if (entry.promptLogprobs) transcript.promptLogprobs = entry.promptLogprobs
  transcript.cachedTokens = entry.cachedTokens
  transcript.finish = entry.finish
  transcript.stopToken = entry.stopToken
}

/** Submits a sequence and resolves to its transcript once it ended. */
export const collectOutputs = (
  engine: Engine["Service"],
): ((sequence: EngineSequence) => Promise<Transcript>) => {
  const live = new Map<number, { transcript: Transcript; end: (done: Transcript) => void }>()
  engine.onStep(({ entries }) => {
    for (const entry of entries) {
      const found = live.get(entry.sequence)
      if (found === undefined) continue
      add(found.transcript, entry)
      if (entry.finish === null) continue
      live.delete(entry.sequence)
      found.end(found.transcript)
    }
  })
  return (sequence) =>
    new Promise((resolve, reject) => {
      live.set(sequence.sequence, { transcript: emptyTranscript(), end: resolve })
      const refusal = engine.submit(sequence)
      if (refusal === null) return
      live.delete(sequence.sequence)
      reject(new Error(`refused: ${refusal}`))
    })
}
