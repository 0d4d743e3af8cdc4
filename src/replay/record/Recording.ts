// One request of the logs as a request of a trace: what was asked, as the fields of an HTTP body,
// and what was answered, by the fold that relays use. Redacted, it has lengths, hashes and times.
import type { RequestAccepted, Sampling, TokenEntry } from "../../../schemas/types.ts"
import {
  apply,
  emptyState,
  type RequestEvent,
  type RequestState,
} from "../../../streams/fold/requestState.ts"
import type { RecordedAnswer, TraceRequest } from "../trace/Trace.ts"
import { blockTokens, promptBlocks } from "./promptBlocks.ts"

export interface RecordOptions {
  readonly redact: boolean
  /** Of this export's block hashes. */
  readonly salt: string
}

/** What is said of how to draw; defaults too, where a server's own may differ. */
const plainParams = (sampling: Sampling) => ({
  max_tokens: Math.max(1, sampling.maxTokens),
  ...(sampling.minTokens > 0 ? { min_tokens: sampling.minTokens } : {}),
  temperature: sampling.temperature,
  top_p: sampling.topP,
  top_k: sampling.topK,
  min_p: sampling.minP,
  repetition_penalty: sampling.repetitionPenalty,
  presence_penalty: sampling.presencePenalty,
  frequency_penalty: sampling.frequencyPenalty,
  seed: sampling.seed,
  ...(sampling.ignoreEos ? { ignore_eos: true } : {}),
  ...(sampling.skipSpecialTokens ? {} : { skip_special_tokens: false }),
  ...(sampling.includeStop ? { include_stop_str_in_output: true } : {}),
})

/** What a client wrote itself, in words or ids. */
const ownParams = ({ stop, stopTokenIds, logitBias }: Sampling) => ({
  ...(stop.length > 0 ? { stop } : {}),
  ...(stopTokenIds.length > 0 ? { stop_token_ids: stopTokenIds } : {}),
  ...(logitBias.length > 0
    ? { logit_bias: Object.fromEntries(logitBias.map(({ token, bias }) => [token, bias])) }
    : {}),
})

interface Said {
  readonly ids: Array<number>
  text: string
  finish: string | null
}

export class Recording {
  readonly request: RequestAccepted
  private readonly state: RequestState
  private readonly choices: Array<Said>
  private readonly frames: Array<readonly [atMs: number, tokens: number]> = []
  private endMs: number | null = null

  constructor(request: RequestAccepted) {
    this.request = request
    const choices = request.prompts.length * request.n
    this.state = emptyState(choices)
    this.choices = Array.from({ length: choices }, () => ({ ids: [], text: "", finish: null }))
  }

  get isOver(): boolean {
    return this.state.terminal !== null
  }

  /** The next entry of the request in log order; its frame's writer and time. */
  take(entry: TokenEntry, writer: string, writtenAt: number): void {
    const events = apply(this.state, writer, entry)
    if (events.length === 0) return
    const atMs = Math.max(0, writtenAt - this.request.acceptedAt)
    let tokens = 0
    for (const event of events) {
      if (event.kind === "token") tokens += this.said(event)
      else this.endMs = atMs
    }
    if (tokens > 0) this.frames.push([atMs, tokens])
  }

  private said(event: Extract<RequestEvent, { kind: "token" }>): number {
    const choice = this.choices[event.choice]
    if (choice === undefined) return 0
    choice.ids.push(event.id)
    choice.text += event.text
    choice.finish = event.finish ?? choice.finish
    return 1
  }

  /** `atMs`: its time in the trace. */
  toTrace(atMs: number, { redact, salt }: RecordOptions): TraceRequest {
    const { request, choices } = this
    const { prompts, sampling, n } = request
    const [first = []] = prompts
    const tier = request.tier === "default" ? {} : { service_tier: request.tier }
    const params = { ...plainParams(sampling), ...(n > 1 ? { n } : {}), ...tier }
    return {
      atMs,
      id: redact ? null : request.requestId,
      promptTokens: prompts.reduce((sum, ids) => sum + ids.length, 0),
      outputTokens: choices.reduce((sum, { ids }) => sum + ids.length, 0),
      blocks: { tokens: blockTokens, hashes: promptBlocks(first, salt) },
      prompt: redact ? null : { kind: "ids", prompts },
      params: redact ? params : { ...params, ...ownParams(sampling) },
      answer: this.answer(redact),
    }
  }

  private answer(redact: boolean): RecordedAnswer {
    const { state, frames, choices, endMs } = this
    return {
      outcome: state.terminal?.outcome ?? "unfinished",
      choices: redact ? [] : choices.map(({ ids, text, finish }) => ({ ids, text, finish })),
      ttftMs: frames[0]?.[0] ?? null,
      e2eMs: endMs,
      frames,
    }
  }
}
