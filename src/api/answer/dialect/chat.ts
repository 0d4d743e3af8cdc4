// The dialect of POST /v1/chat/completions, streamed and whole. The role comes with a choice's
// first token event and not in a chunk of its own: one event, one frame, so a resume repeats
// nothing.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TokenEvent } from "../../../../streams/fold/requestState.ts"
import { GrowingText } from "./GrowingText.ts"
import { chatLogprob, type ChatLogprobs } from "./logprobs.ts"
import {
  choiceCount,
  createdAt,
  type MakeCollector,
  type MakeProjection,
  noFrames,
  numberedByEvents,
} from "./Projection.ts"
import { terminalFrames } from "./terminal.ts"
import { fingerprintOf, serviceTierOf, stopReasonOf, usageOf } from "./usage.ts"

const json = JSON.stringify

const envelope = (request: RequestAccepted, object: string) => {
  const tier = serviceTierOf(request)
  return {
    id: request.requestId,
    object,
    created: createdAt(request),
    model: request.model,
    system_fingerprint: fingerprintOf(request),
    ...(tier === null ? {} : { service_tier: tier }),
  }
}

export const chatProjection: MakeProjection = (request, facts) => {
  const { answer } = request
  const scored = request.sampling.logprobs >= 0
  const shared = envelope(request, "chat.completion.chunk")
  const head = json(shared).slice(0, -1)
  const choices = `,"choices":[{"index":`
  const heads = Array.from(
    { length: choiceCount(request) },
    (_, i) => `${head}${choices}${i},"delta":`,
  )
  const tail = answer.includeUsage ? `}],"usage":null}` : "}]}"

  const speaks = (event: TokenEvent) =>
    event.position === 0 ||
    event.text !== "" ||
    event.finish !== null ||
    scored ||
    answer.returnTokenIds

  const deltaOf = (event: TokenEvent): string => {
    if (event.position === 0) return `{"role":"assistant","content":${json(event.text)}}`
    return event.text === "" ? "{}" : `{"content":${json(event.text)}}`
  }

  const logprobsOf = (event: TokenEvent): string =>
    event.logprob === null
      ? "null"
      : `{"content":[${json(chatLogprob(event.id, event.logprob, facts))}],"refusal":null}`

  const headOf = (event: TokenEvent) =>
    answer.returnTokenIds && event.position === 0 && event.choice === 0
      ? `${head},"prompt_token_ids":${json(request.prompts[0])}${choices}0,"delta":`
      : heads[event.choice]

  const chunk = (event: TokenEvent): string => {
    let data = `${headOf(event)}${deltaOf(event)},"logprobs":${logprobsOf(event)}`
    data += `,"finish_reason":${json(event.finish)}`
    if (event.finish !== null) {
      data += `,"stop_reason":${json(stopReasonOf(request, event.stopReason))}`
    }
    if (answer.returnTokenIds) data += `,"token_ids":[${event.id}]`
    return data + tail
  }

  return {
    ...numberedByEvents,
    needsHistory: false,
    idle: () => ({ data: `${heads[0]}{},"logprobs":null,"finish_reason":null${tail}` }),
    push: (event) =>
      event.kind === "terminal"
        ? terminalFrames(event, { ...shared, choices: [] }, answer.includeUsage)
        : speaks(event)
          ? [{ cursor: event.number, data: chunk(event) }]
          : noFrames,
  }
}

interface Choice {
  readonly text: GrowingText
  logprobs: Array<ChatLogprobs[number]> | null
  finish: TokenEvent["finish"]
  stopReason: string | null
  readonly ids: Array<number>
}

export const chatCollector: MakeCollector = (request, facts) => {
  const { returnTokenIds } = request.answer
  const choices = Array.from({ length: choiceCount(request) }, (): Choice => ({
    text: new GrowingText(),
    logprobs: request.sampling.logprobs >= 0 ? [] : null,
    finish: null,
    stopReason: null,
    ids: [],
  }))
  return {
    push: (event) => {
      const choice = choices[event.choice]
      if (choice === undefined) return
      choice.text.add(event.text)
      if (returnTokenIds) choice.ids.push(event.id)
      choice.finish = event.finish
      choice.stopReason = event.stopReason
      if (choice.logprobs !== null && event.logprob !== null) {
        choice.logprobs.push(chatLogprob(event.id, event.logprob, facts))
      }
    },
    body: (terminal) =>
      json({
        ...envelope(request, "chat.completion"),
        choices: choices.map((choice, index) => ({
          index,
          message: { role: "assistant", content: choice.text.text, refusal: null },
          logprobs: choice.logprobs === null ? null : { content: choice.logprobs, refusal: null },
          finish_reason: choice.finish,
          stop_reason: stopReasonOf(request, choice.stopReason),
          ...(returnTokenIds ? { token_ids: choice.ids } : {}),
        })),
        usage: usageOf(terminal),
        ...(returnTokenIds ? { prompt_token_ids: request.prompts[0] } : {}),
      }),
  }
}
