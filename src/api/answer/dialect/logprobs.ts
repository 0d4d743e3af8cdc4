// Logprobs in OpenAI's two shapes: parallel arrays (completions) and one object a token (chat).
// JSON has no infinity: a token that cannot be drawn is shown as -9999, as OpenAI and vLLM do.
import type { TokenLogprob } from "../../../../schemas/types.ts"
import type { ModelFacts } from "./Projection.ts"

const lowest = -9999

const finite = (logprob: number): number =>
  Number.isFinite(logprob) ? Math.max(logprob, lowest) : lowest

/** Characters as OpenAI's Python clients count them: code points, not UTF-16 units. */
const codePoints = (text: string): number => {
  let count = text.length
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count -= 1
  }
  return count
}

export interface LegacyLogprobs {
  readonly tokens: Array<string>
  readonly token_logprobs: Array<number | null>
  readonly top_logprobs: Array<Record<string, number> | null>
  readonly text_offset: Array<number>
}

export const emptyLegacy = (): LegacyLogprobs => ({
  tokens: [],
  token_logprobs: [],
  top_logprobs: [],
  text_offset: [],
})

export interface LegacyToken {
  readonly id: number
  readonly logprob: TokenLogprob | null
  /** A special token that the text leaves out. */
  readonly hidden: boolean
}

/**
 * Appends one token that starts at `offset` and returns where the next one starts: offsets add up
 * the tokens' own texts, so they are known while the text itself is still held back. The first
 * prompt token has no logprob.
 */
export const pushLegacy = (
  into: LegacyLogprobs,
  facts: ModelFacts,
  token: LegacyToken,
  offset: number,
): number => {
  const text = facts.tokenText(token.id)
  into.tokens.push(text)
  into.text_offset.push(offset)
  into.token_logprobs.push(token.logprob === null ? null : finite(token.logprob.logprob))
  into.top_logprobs.push(token.logprob === null ? null : topByText(token.logprob, text, facts))
  return token.hidden ? offset : offset + codePoints(text)
}

/** The most likely tokens and, always, the one that was drawn: up to k + 1 entries. */
const topByText = (logprob: TokenLogprob, text: string, facts: ModelFacts) => {
  const top: Record<string, number> = Object.create(null)
  for (const entry of logprob.top) {
    const name = facts.tokenText(entry.id)
    if (!(name in top)) top[name] = finite(entry.logprob)
  }
  if (!(text in top)) top[text] = finite(logprob.logprob)
  return top
}

export interface ChatLogprob {
  readonly token: string
  readonly logprob: number
  readonly bytes: ReadonlyArray<number>
}

export type ChatLogprobs = ReadonlyArray<
  ChatLogprob & { readonly top_logprobs: ReadonlyArray<ChatLogprob> }
>

const shown = (id: number, logprob: number, facts: ModelFacts): ChatLogprob => ({
  token: facts.tokenText(id),
  logprob: finite(logprob),
  bytes: Array.from(facts.tokenBytes(id)),
})

export const chatLogprob = (id: number, logprob: TokenLogprob, facts: ModelFacts) => ({
  ...shown(id, logprob.logprob, facts),
  top_logprobs: logprob.top.map((entry) => shown(entry.id, entry.logprob, facts)),
})
