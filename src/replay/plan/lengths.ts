// Lengths of a trace made to fit the model that is tried: scaled by a factor, and cut where they
// would still exceed the context. Whoever asks is told whether it was cut.

export interface Fit {
  readonly scale: number
  /** Prompt and output together; null: not known. */
  readonly contextTokensMax: number | null
  readonly outputTokensMax: number | null
}

export interface Lengths {
  readonly promptTokens: number
  readonly outputTokens: number
  readonly clipped: boolean
}

const scaled = (tokens: number, scale: number) => Math.max(1, Math.round(tokens * scale))

/** The output keeps its length as far as it leaves the prompt half of the context. */
export const fitLengths = (promptTokens: number, outputTokens: number, fit: Fit): Lengths => {
  const prompt = scaled(promptTokens, fit.scale)
  const output = scaled(outputTokens, fit.scale)
  const context = fit.contextTokensMax ?? Infinity
  const outputMax = Math.min(fit.outputTokensMax ?? Infinity, Math.floor(context / 2))
  const outputFits = Math.max(1, Math.min(output, outputMax, Math.max(context - prompt, outputMax)))
  const promptFits = Math.max(1, Math.min(prompt, context - outputFits))
  return {
    promptTokens: promptFits,
    outputTokens: outputFits,
    clipped: promptFits < prompt || outputFits < output,
  }
}
