// Our own format: JSON lines. The first has the version, each further one a request:
//
//     {"sluice_trace":1,"model":"tales-11m","block_tokens":16,"redacted":false}
//     {"at_ms":0,"id":"req-...","prompt_tokens":19,"output_tokens":7,"blocks":["5f0c..."],
//      "prompt_ids":[[1,403]],"params":{"max_tokens":7,"seed":3},"answer":{"outcome":"finished",
//      "choices":[{"ids":[9],"text":" end","finish":"stop"}],"ttft_ms":12,"e2e_ms":40,
//      "frames":[[12,1],[40,6]]}}
//
// Whatever is not known is left out. ops/replay/TRACE.md names each field.
import { Predicate } from "effect"
import { Fields } from "../Fields.ts"
import type {
  Message,
  RecordedAnswer,
  RecordedChoice,
  TracePrompt,
  TraceRequest,
} from "../Trace.ts"

const version = 1

export interface TraceHead {
  readonly model: string | null
  readonly blockTokens: number
  readonly redacted: boolean
}

export const toHead = ({ model, blockTokens, redacted }: TraceHead): string =>
  JSON.stringify({ sluice_trace: version, model, block_tokens: blockTokens, redacted })

export const fromHead = (fields: Fields): TraceHead => {
  const found = fields.whole("sluice_trace", 1)
  if (found > version) {
    fields.fail("wrongValue", `this trace has version ${found}; this Sluice reads ${version}`)
  }
  return {
    model: fields.textOrNull("model"),
    blockTokens: fields.whole("block_tokens", 1),
    redacted: fields.values["redacted"] === true,
  }
}

const promptOf = (fields: Fields): TracePrompt | null => {
  if (fields.has("prompt_ids")) {
    const prompts = fields.list("prompt_ids").map((ids) => fields.ids("prompt_ids", ids))
    return { kind: "ids", prompts }
  }
  if (fields.has("messages")) {
    const messages = fields.list("messages").map((value): Message => {
      const message = new Fields(fields.place, value)
      const read = { role: message.text("role"), content: message.text("content") }
      fields.error ??= message.error
      return read
    })
    return { kind: "messages", messages }
  }
  return fields.has("prompt") ? { kind: "text", text: fields.text("prompt") } : null
}

const choiceOf = (outer: Fields, value: unknown): RecordedChoice => {
  const fields = new Fields(outer.place, value)
  const choice = {
    ids: fields.ids("ids"),
    text: fields.text("text"),
    finish: fields.textOrNull("finish"),
  }
  outer.error ??= fields.error
  return choice
}

const frameOf = (fields: Fields, value: unknown): readonly [number, number] => {
  const [atMs, tokens]: ReadonlyArray<unknown> = Array.isArray(value) ? value : []
  if (Predicate.isNumber(atMs) && Predicate.isNumber(tokens)) return [atMs, tokens]
  return fields.wrong("frames", "an array of [ms, tokens]", [0, 0])
}

const answerOf = (outer: Fields): RecordedAnswer => {
  const fields = new Fields(outer.place, outer.values["answer"])
  const answer = {
    outcome: fields.text("outcome"),
    choices: fields.has("choices")
      ? fields.list("choices").map((choice) => choiceOf(fields, choice))
      : [],
    ttftMs: fields.timeOrNull("ttft_ms"),
    e2eMs: fields.timeOrNull("e2e_ms"),
    frames: fields.has("frames") ? fields.list("frames").map((at) => frameOf(fields, at)) : [],
  }
  outer.error ??= fields.error
  return answer
}

export const fromSluice = (fields: Fields, { blockTokens }: TraceHead): TraceRequest => {
  const hashes = fields.has("blocks") ? fields.list("blocks") : null
  const params = fields.values["params"]
  return {
    atMs: fields.timeOrNull("at_ms"),
    promptTokens: fields.wholeOrNull("prompt_tokens"),
    outputTokens: fields.wholeOrNull("output_tokens"),
    blocks: hashes === null ? null : { tokens: blockTokens, hashes: hashes.map(String) },
    prompt: promptOf(fields),
    params: Predicate.isObject(params) ? { ...params } : null,
    answer: fields.has("answer") ? answerOf(fields) : null,
    id: fields.textOrNull("id"),
  }
}

const promptFields = (prompt: TracePrompt | null) => {
  switch (prompt?.kind) {
    case "ids":
      return { prompt_ids: prompt.prompts }
    case "messages":
      return { messages: prompt.messages }
    case "text":
      return { prompt: prompt.text }
  }
  return {}
}

/** JSON leaves out what is undefined. */
export const toSluice = (request: TraceRequest): string => {
  const { answer } = request
  return JSON.stringify({
    at_ms: request.atMs ?? undefined,
    id: request.id ?? undefined,
    prompt_tokens: request.promptTokens ?? undefined,
    output_tokens: request.outputTokens ?? undefined,
    blocks: request.blocks?.hashes,
    ...promptFields(request.prompt),
    params: request.params ?? undefined,
    answer:
      answer === null
        ? undefined
        : {
            outcome: answer.outcome,
            choices: answer.choices.length === 0 ? undefined : answer.choices,
            ttft_ms: answer.ttftMs ?? undefined,
            e2e_ms: answer.e2eMs ?? undefined,
            frames: answer.frames.length === 0 ? undefined : answer.frames,
          },
  })
}
