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
  type Frame,
  type MakeCollector,
  type MakeProjection,
  noFrames,
  numberedByEvents,
} from "./Projection.ts"
import { addCalls, type CallDelta, ToolFold, type WholeCall } from "./toolFold.ts"
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

/** A call's id, type and name come once, then its arguments piece by piece. */
const callDelta = ({ index, id, name, arguments: text }: CallDelta) => ({
  index,
  ...(id === null ? {} : { id, type: "function" }),
  function: { ...(name === null ? {} : { name }), arguments: text },
})

const finishOf = (finish: TokenEvent["finish"], calls: number): string | null =>
  finish === "stop" && calls > 0 ? "tool_calls" : finish

const deltaOf = (event: TokenEvent): string => {
  if (event.position === 0) return `{"role":"assistant","content":${json(event.text)}}`
  return event.text === "" ? "{}" : `{"content":${json(event.text)}}`
}

const toolDelta = (
  { position }: TokenEvent,
  content: string,
  calls: ReadonlyArray<CallDelta>,
): string =>
  json({
    ...(position === 0 ? { role: "assistant", content: content || null } : {}),
    ...(position > 0 && content !== "" ? { content } : {}),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(callDelta) }),
  })

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

  const folds = request.tools === null ? null : heads.map((_, i) => new ToolFold(request, i))

  const speaks = (event: TokenEvent) =>
    event.position === 0 ||
    event.text !== "" ||
    event.finish !== null ||
    scored ||
    answer.returnTokenIds

  const logprobsOf = (event: TokenEvent): string =>
    event.logprob === null
      ? "null"
      : `{"content":[${json(chatLogprob(event.id, event.logprob, facts))}],"refusal":null}`

  const headOf = (event: TokenEvent) =>
    answer.returnTokenIds && event.position === 0 && event.choice === 0
      ? `${head},"prompt_token_ids":${json(request.prompts[0])}${choices}0,"delta":`
      : heads[event.choice]

  const chunk = (event: TokenEvent, delta: string, finish: string | null): string => {
    let data = `${headOf(event)}${delta},"logprobs":${logprobsOf(event)}`
    data += `,"finish_reason":${json(finish)}`
    if (event.finish !== null) {
      data += `,"stop_reason":${json(stopReasonOf(request, event.stopReason))}`
    }
    if (answer.returnTokenIds) data += `,"token_ids":[${event.id}]`
    return data + tail
  }

  const withTools = (event: TokenEvent, fold: ToolFold): ReadonlyArray<Frame> => {
    const { content, calls } = fold.push(event.text, event.finish !== null)
    if (!speaks({ ...event, text: content }) && calls.length === 0) return noFrames
    const delta = toolDelta(event, content, calls)
    return [{ cursor: event.number, data: chunk(event, delta, finishOf(event.finish, fold.calls)) }]
  }

  return {
    ...numberedByEvents,
    needsHistory: folds !== null,
    idle: () => ({ data: `${heads[0]}{},"logprobs":null,"finish_reason":null${tail}` }),
    push: (event) =>
      event.kind === "terminal"
        ? terminalFrames(event, { ...shared, choices: [] }, answer.includeUsage)
        : folds?.[event.choice] !== undefined
          ? withTools(event, folds[event.choice]!)
          : speaks(event)
            ? [{ cursor: event.number, data: chunk(event, deltaOf(event), event.finish) }]
            : noFrames,
  }
}

interface Choice {
  readonly text: GrowingText
  readonly fold: ToolFold | null
  calls: ReadonlyArray<WholeCall>
  logprobs: Array<ChatLogprobs[number]> | null
  finish: TokenEvent["finish"]
  stopReason: string | null
  readonly ids: Array<number>
}

const messageOf = ({ text: { text }, calls }: Choice) => ({
  role: "assistant",
  content: text === "" && calls.length > 0 ? null : text,
  refusal: null,
  ...(calls.length === 0
    ? {}
    : {
        tool_calls: calls.map(({ id, name, arguments: args }) => ({
          id,
          type: "function",
          function: { name, arguments: args },
        })),
      }),
})

export const chatCollector: MakeCollector = (request, facts) => {
  const { returnTokenIds } = request.answer
  const choices = Array.from({ length: choiceCount(request) }, (_, i): Choice => ({
    text: new GrowingText(),
    fold: request.tools === null ? null : new ToolFold(request, i),
    calls: [],
    logprobs: request.sampling.logprobs >= 0 ? [] : null,
    finish: null,
    stopReason: null,
    ids: [],
  }))
  return {
    push: (event) => {
      const choice = choices[event.choice]
      if (choice === undefined) return
      if (choice.fold === null) {
        choice.text.add(event.text)
      } else {
        const delta = choice.fold.push(event.text, event.finish !== null)
        choice.text.add(delta.content)
        choice.calls = addCalls(choice.calls, delta.calls)
      }
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
          message: messageOf(choice),
          logprobs: choice.logprobs === null ? null : { content: choice.logprobs, refusal: null },
          finish_reason: finishOf(choice.finish, choice.calls.length),
          stop_reason: stopReasonOf(request, choice.stopReason),
          ...(returnTokenIds ? { token_ids: choice.ids } : {}),
        })),
        usage: usageOf(terminal),
        ...(returnTokenIds ? { prompt_token_ids: request.prompts[0] } : {}),
      }),
  }
}
