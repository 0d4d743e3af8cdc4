// The dialect of POST /v1/completions, streamed and whole: OpenAI's text_completion with vLLM's
// stop_reason and token ids. An echoed prompt comes first, with its logprobs where those were asked
// for.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TerminalEvent, TokenEvent } from "../../../../streams/fold/requestState.ts"
import { GrowingText } from "./GrowingText.ts"
import { emptyLegacy, type LegacyLogprobs, pushLegacy } from "./logprobs.ts"
import {
  choiceCount,
  createdAt,
  type Frame,
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

/** No token was asked for: the answer is the prompt, as vLLM gives it. */
const isEchoOnly = ({ answer, sampling }: RequestAccepted): boolean =>
  answer.echo && sampling.maxTokens === 0

interface Echoing {
  readonly request: RequestAccepted
  readonly facts: ModelFacts
  readonly choice: number
  readonly scores: TokenEvent["promptLogprobs"]
}

/** Adds the echoed prompt's tokens; returns where the next one starts. */
const pushEcho = (into: LegacyLogprobs, { request, facts, choice, scores }: Echoing): number => {
  const echoed = echoOf(request, choice)
  const own = scores?.[promptOf(request, choice)]
  let offset = 0
  promptIds(request, choice).forEach((id, i) => {
    const logprob = i === 0 ? null : (own?.[i - 1] ?? null)
    // A prompt given as text lacks the special tokens that encoding put before it.
    const hidden = facts.specialIds.has(id) && !echoed.startsWith(facts.tokenText(id), offset)
    offset = pushLegacy(into, facts, { id, logprob, hidden }, offset)
  })
  return offset
}

/** Of an answer that is the prompt only. */
const echoLogprobs = (
  request: RequestAccepted,
  facts: ModelFacts,
  choice: number,
  terminal: TerminalEvent,
): LegacyLogprobs | null => {
  if (request.sampling.logprobs < 0) return null
  const logprobs = emptyLegacy()
  pushEcho(logprobs, { request, facts, choice, scores: terminal.promptLogprobs ?? null })
  return logprobs
}

/**
 * Adds the event's token, and before the first one the echoed prompt's; returns the next offset.
 */
const pushLogprobs = (
  into: LegacyLogprobs,
  event: TokenEvent,
  from: { readonly request: RequestAccepted; readonly facts: ModelFacts; readonly offset: number },
): number => {
  const { request, facts } = from
  const { choice, promptLogprobs: scores } = event
  const isFirst = event.position === 0 && request.answer.echo
  const offset = isFirst ? pushEcho(into, { request, facts, choice, scores }) : from.offset
  const { id, logprob } = event
  const hidden = request.sampling.skipSpecialTokens && facts.specialIds.has(id)
  return pushLegacy(into, facts, { id, logprob, hidden }, offset)
}

/** A choice that is the prompt only, from its text on. */
const echoFields = (
  request: RequestAccepted,
  choice: number,
  logprobs: LegacyLogprobs | null,
): string => {
  const text = `${json(echoOf(request, choice))},"logprobs":${json(logprobs)}`
  const fields = `${text},"finish_reason":"length","stop_reason":null`
  if (!request.answer.returnTokenIds) return fields
  return `${fields},"prompt_token_ids":${json(promptIds(request, choice))},"token_ids":[]`
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

  const ending = (event: TerminalEvent): ReadonlyArray<Frame> => {
    const last = terminalFrames(event, { ...envelope(request), choices: [] }, answer.includeUsage)
    if (event.outcome !== "finished" || !isEchoOnly(request)) return last
    const echo = (start: string, choice: number): Frame => {
      const fields = echoFields(request, choice, echoLogprobs(request, facts, choice, event))
      return { cursor: event.number, data: start + fields + tail }
    }
    return [...heads.map(echo), ...last]
  }

  return {
    ...numberedByEvents,
    needsHistory: scored,
    idle: () => ({ data: `${heads[0]}""${plainTail}` }),
    push: (event) =>
      event.kind === "terminal"
        ? ending(event)
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
    body: (terminal) => {
      const isEcho = terminal.outcome === "finished" && isEchoOnly(request)
      return json({
        ...envelope(request),
        choices: choices.map((choice, index) => ({
          index,
          text: choice.text.text,
          logprobs: isEcho ? echoLogprobs(request, facts, index, terminal) : choice.logprobs,
          finish_reason: isEcho ? "length" : choice.finish,
          stop_reason: stopReasonOf(request, choice.stopReason),
          ...(returnTokenIds
            ? { prompt_token_ids: promptIds(request, index), token_ids: choice.ids }
            : {}),
        })),
        usage: usageOf(terminal),
      })
    },
  }
}
