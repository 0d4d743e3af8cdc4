// What an answer says at its end: token counts, why a choice stopped, which model answered.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TerminalEvent } from "../../../../streams/fold/requestState.ts"

export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
  readonly prompt_tokens_details: { readonly cached_tokens: number }
}

/** completion_tokens is the number of positions delivered, nothing else. */
export const usageOf = (
  terminal: Pick<TerminalEvent, "promptTokens" | "cachedTokens" | "completionTokens">,
): Usage => ({
  prompt_tokens: terminal.promptTokens,
  completion_tokens: terminal.completionTokens,
  total_tokens: terminal.promptTokens + terminal.completionTokens,
  prompt_tokens_details: { cached_tokens: terminal.cachedTokens },
})

/**
 * vLLM's stop_reason: the stop string, the stop token's id as a number, null at end of sequence.
 */
export const stopReasonOf = (
  request: RequestAccepted,
  stopReason: string | null,
): string | number | null =>
  stopReason === null || request.sampling.stop.includes(stopReason) || !/^\d+$/.test(stopReason)
    ? stopReason
    : Number(stopReason)

/**
 * Constant for a model version, so that a replay after a rollout shows what the first answer
 * showed.
 */
export const fingerprintOf = (request: RequestAccepted): string =>
  `fp_${request.model}_${request.version}`

/** The tier is named only to clients that asked for one, as OpenAI does. */
export const serviceTierOf = (request: RequestAccepted): string | null =>
  request.answer.serviceTier === null ? null : request.tier
