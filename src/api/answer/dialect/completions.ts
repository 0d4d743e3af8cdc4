// The dialect of POST /v1/completions, streamed and whole: OpenAI's text_completion with vLLM's
// stop_reason and token ids. An echoed prompt comes first, with its logprobs where those were asked
// for.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TokenEvent } from "../../../../streams/fold/requestState.ts"
import { GrowingText } from "./GrowingText.ts"
import { emptyLegacy, type LegacyLogprobs, pushLegacy } from "./logprobs.ts"
import {
  choiceCount,
  createdAt,
  type MakeCollector,
  type MakeProjection,
  type ModelFacts,
  noFrames,
  numberedByEvents,
} from "./Projection.ts"
import { terminalFrames } from "./terminal.ts"
import { fingerprintOf, stopReasonOf, usageOf } from "./usage.ts"

const json = JSON.stringify

const envelope = (request: RequestAccepted) => ({
  id: request.requestId,
  object: "text_completion",
  created: createdAt(request),
  model: request.model,
  system_fingerprint: fingerprintOf(request),
})

const echoOf = (request: RequestAccepted, choice: number): string =>
  request.answer.echo ? (request.answer.echoTexts[promptOf(request, choice)] ?? "") : ""

const promptOf = (request: RequestAccepted, choice: number): number =>
  Math.floor(choice / request.n)

const promptIds = (request: RequestAccepted, choice: number): ReadonlyArray<number> =>
  request.prompts[promptOf(request, choice)] ?? []

/**
 * Adds the event's token, and before the first one the echoed prompt's; returns the next offset.
 */
const pushLogprobs = (
  into: LegacyLogprobs,
  event: TokenEvent,
  from: { readonly request: RequestAccepted; readonly facts: ModelFacts; readonly offset: number },
): number => {
  const { request, facts } = from
  let offset = from.offset
  if (event.position === 0 && request.answer.echo) {
    const echoed = echoOf(request, event.choice)
    const scores = event.promptLogprobs?.[promptOf(request, event.choice)]
    promptIds(request, event.choice).forEach((id, i) => {
      const logprob = i === 0 ? null : (scores?.[i - 1] ?? null)
      // A prompt given as text lacks the special tokens that encoding put before it.
      const hidden = facts.specialIds.has(id) && !echoed.startsWith(facts.tokenText(id), offset)
      offset = pushLegacy(into, facts, { id, logprob, hidden }, offset)
    })
  }
  const { id, logprob } = event
  const hidden = request.sampling.skipSpecialTokens && facts.specialIds.has(id)
  return pushLegacy(into, facts, { id, logprob, hidden }, offset)
}

export const completionsProjection: MakeProjection = (request, facts) => {
  const { answer } = request
  const scored = request.sampling.logprobs >= 0
  const head = json(envelope(request)).slice(0, -1) + `,"choices":[{"index":`
  const tail = answer.includeUsage ? `}],"usage":null}` : "}]}"
  const heads = Array.from({ length: choiceCount(request) }, (_, i) => `${head}${i},"text":`)
  const offsets = heads.map(() => 0)
  /** What follows the text of nearly every token. */
  const plainTail = `,"logprobs":null,"finish_reason":null${tail}`
  const isPlain = !scored && !answer.returnTokenIds && !answer.echo

  const speaks = (event: TokenEvent) =>
    event.text !== "" ||
    event.finish !== null ||
    scored ||
    answer.returnTokenIds ||
    (answer.echo && event.position === 0)

  const logprobsOf = (event: TokenEvent): string => {
    if (!scored) return "null"
    const logprobs = emptyLegacy()
    const offset = offsets[event.choice] ?? 0
    offsets[event.choice] = pushLogprobs(logprobs, event, { request, facts, offset })
    return json(logprobs)
  }

  const chunk = (event: TokenEvent): string => {
    if (isPlain && event.finish === null) return heads[event.choice] + json(event.text) + plainTail
    const first = event.position === 0
    const text = first && answer.echo ? echoOf(request, event.choice) + event.text : event.text
    let data = `${heads[event.choice]}${json(text)},"logprobs":${logprobsOf(event)}`
    data += `,"finish_reason":${json(event.finish)}`
    if (event.finish !== null) {
      data += `,"stop_reason":${json(stopReasonOf(request, event.stopReason))}`
    }
    if (answer.returnTokenIds) {
      if (first) data += `,"prompt_token_ids":${json(promptIds(request, event.choice))}`
      data += `,"token_ids":[${event.id}]`
    }
    return data + tail
  }

  return {
    ...numberedByEvents,
    needsHistory: scored,
    idle: () => ({ data: `${heads[0]}""${plainTail}` }),
    push: (event) =>
      event.kind === "terminal"
        ? terminalFrames(event, { ...envelope(request), choices: [] }, answer.includeUsage)
        : speaks(event)
          ? [{ cursor: event.number, data: chunk(event) }]
          : noFrames,
  }
}

export const completionsCollector: MakeCollector = (request, facts) => {
  const scored = request.sampling.logprobs >= 0
  const { returnTokenIds } = request.answer
  const choices = Array.from({ length: choiceCount(request) }, (_, index) => ({
    text: new GrowingText(echoOf(request, index)),
    logprobs: scored ? emptyLegacy() : null,
    offset: 0,
    finish: null as TokenEvent["finish"],
    stopReason: null as string | null,
    ids: [] as Array<number>,
  }))
  return {
    push: (event) => {
      const choice = choices[event.choice]
      if (choice === undefined) return
      choice.text.add(event.text)
      if (returnTokenIds) choice.ids.push(event.id)
      choice.finish = event.finish
      choice.stopReason = event.stopReason
      if (choice.logprobs !== null) {
        const { offset, logprobs } = choice
        choice.offset = pushLogprobs(logprobs, event, { request, facts, offset })
      }
    },
    body: (terminal) =>
      json({
        ...envelope(request),
        choices: choices.map((choice, index) => ({
          index,
          text: choice.text.text,
          logprobs: choice.logprobs,
          finish_reason: choice.finish,
          stop_reason: stopReasonOf(request, choice.stopReason),
          ...(returnTokenIds
            ? { prompt_token_ids: promptIds(request, index), token_ids: choice.ids }
            : {}),
        })),
        usage: usageOf(terminal),
      }),
  }
}
