// Whether prompt and output fit the model, said with the numbers. The longest prompt decides: all
// choices of a request share one max_tokens.
import { Effect } from "effect"
import { apiError, type ApiError } from "../errors.ts"

export interface Lengths {
  readonly promptTokens: number
  readonly contextTokensMax: number
  /** What the body asked for. */
  readonly maxTokens: number | undefined
  /** What counts where it asked for nothing; cut to what fits. */
  readonly fallback: number
  readonly param: string
}

/** The output tokens that a choice may have. */
export const fitTokens = (lengths: Lengths): Effect.Effect<number, ApiError> => {
  const { promptTokens, contextTokensMax, maxTokens, fallback, param } = lengths
  const room = contextTokensMax - promptTokens
  const limit = `This model's maximum context length is ${contextTokensMax} tokens.`
  if (room < (maxTokens === 0 ? 0 : 1)) {
    const message = `${limit} The prompt alone has ${promptTokens}; shorten it.`
    return Effect.fail(apiError("contextLength", message, { param }))
  }
  if (maxTokens === undefined) return Effect.succeed(Math.min(fallback, room))
  if (maxTokens <= room) return Effect.succeed(maxTokens)
  const message =
    `${limit} However, ${promptTokens + maxTokens} were requested (${promptTokens} in the ` +
    `prompt, ${maxTokens} for the completion). Shorten the prompt or lower max_tokens.`
  return Effect.fail(apiError("contextLength", message, { param }))
}
