// ShareGPT's conversations: the first human turn is the prompt, as vLLM's benchmark takes it, and
// the turn after it the answer. A conversation without both is no request, and is passed over.
import { Predicate } from "effect"
import { Fields } from "../Fields.ts"
import { bareRequest, type TraceRequest } from "../Trace.ts"
import { promptText } from "./promptText.ts"

export const fromShareGpt = (fields: Fields): TraceRequest | null => {
  const turns = fields.list(fields.has("conversations") ? "conversations" : "conversation")
  const [asked, answered] = turns
  if (!Predicate.isObject(asked) || !Predicate.isObject(answered)) return null
  const first = new Fields(fields.place, asked)
  const second = new Fields(fields.place, answered)
  const text = first.text(first.has("value") ? "value" : "content")
  const said = second.text(second.has("value") ? "value" : "content")
  fields.error ??= first.error ?? second.error
  return {
    ...bareRequest,
    id: fields.textOrNull("id"),
    prompt: { kind: "text", text },
    answer: {
      outcome: "finished",
      choices: [{ ids: [], text: said, finish: null }],
      ttftMs: null,
      e2eMs: null,
      frames: [],
    },
  }
}

export const toShareGpt = (request: TraceRequest): string =>
  JSON.stringify({
    id: request.id ?? "",
    conversations: [
      { from: "human", value: promptText(request) },
      { from: "gpt", value: request.answer?.choices[0]?.text ?? "" },
    ],
  })
