// The HTTP request that a planned request becomes: path and JSON body, as OpenAI's API has them,
// with vLLM's further fields where the target is not asked with OpenAI's own alone.
import type { TracePrompt } from "../trace/Trace.ts"

export interface BodyOptions {
  readonly endpoint: "completions" | "chat"
  /** "": the target has one and is not told. */
  readonly model: string
  readonly stream: boolean
  /** Only fields that OpenAI's own API knows: no ignore_eos, so answers may be shorter. */
  readonly plain: boolean
  /** Ids beside the text, where a verification compares them. */
  readonly tokenIds: boolean
  readonly temperature: number
}

export interface Asked {
  readonly prompt: TracePrompt
  /** null: as recorded, or as the target likes. */
  readonly outputTokens: number | null
  readonly params: Readonly<Record<string, unknown>> | null
}

export interface Written {
  readonly path: "/v1/completions" | "/v1/chat/completions"
  readonly body: string
}

const promptFields = (prompt: TracePrompt, endpoint: BodyOptions["endpoint"]) => {
  if (prompt.kind === "messages") return { messages: prompt.messages }
  if (prompt.kind === "ids") {
    return { prompt: prompt.prompts.length === 1 ? prompt.prompts[0] : prompt.prompts }
  }
  return endpoint === "chat"
    ? { messages: [{ role: "user", content: prompt.text }] }
    : { prompt: prompt.text }
}

export const writeBody = (
  { prompt, outputTokens, params }: Asked,
  options: BodyOptions,
): Written => {
  const asked = promptFields(prompt, options.endpoint)
  const isChat = "messages" in asked
  const { stream, plain } = options
  // What a recording says of sampling counts; else answers are greedy and of the asked length.
  const own = params ?? {
    temperature: options.temperature,
    ...(outputTokens === null ? {} : { max_tokens: outputTokens }),
    ...(plain || outputTokens === null ? {} : { ignore_eos: true }),
  }
  const body = {
    ...(options.model === "" ? {} : { model: options.model }),
    ...own,
    ...asked,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
    ...(options.tokenIds && !plain ? { return_token_ids: true } : {}),
  }
  return { path: isChat ? "/v1/chat/completions" : "/v1/completions", body: JSON.stringify(body) }
}
