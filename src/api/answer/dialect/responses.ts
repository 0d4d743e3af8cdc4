// The dialect of POST /v1/responses. It counts its own events: sequence_number runs from 0 without
// gap, and a cursor is how many were delivered. Each token makes one delta, held-back text an empty
// one, so the count follows from the number of tokens alone. An answer is one message of one part.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TerminalEvent, TokenEvent } from "../../../../streams/fold/requestState.ts"
import { chatLogprob, type ChatLogprobs } from "./logprobs.ts"
import {
  type Frame,
  type MakeCollector,
  type MakeProjection,
  type ModelFacts,
  noFrames,
  type Progress,
  type Projection,
} from "./Projection.ts"
import {
  messageIdOf,
  messageItem,
  type ResponseProgress,
  responseObject,
  textPart,
  unstarted,
} from "./responseObject.ts"

const json = JSON.stringify

/** response.created, then response.queued or response.in_progress. */
const framesOfAcceptance = 2
/** response.output_item.added and response.content_part.added, and their ends with the text's. */
const framesToOpen = 2
const framesToClose = 3

const inBackground = (request: RequestAccepted): boolean =>
  request.answer.response?.background === true

const countOf = (request: RequestAccepted, { events, terminal }: Progress): number => {
  const over = terminal !== null
  const tokens = over ? events - 1 : events
  // One that waited in the background is told to run with its first event.
  const started = inBackground(request) && events > 0 ? 1 : 0
  const message = tokens > 0 ? framesToOpen + tokens + (over ? framesToClose : 0) : 0
  return framesOfAcceptance + started + message + (over ? 1 : 0)
}

const lastType = (terminal: TerminalEvent, progress: ResponseProgress): string => {
  if (terminal.outcome === "finished") {
    return progress.finish === "length" ? "response.incomplete" : "response.completed"
  }
  // There is no event of cancelling: the response inside says that it was cancelled.
  return terminal.outcome === "cancelled" ? "response.incomplete" : "response.failed"
}

class Gathering {
  text = ""
  started = false
  tokens = 0
  logprobs: Array<ChatLogprobs[number]> = []
  finish: TokenEvent["finish"] = null

  /** The token's logprobs, where there are any. */
  take(event: TokenEvent, facts: ModelFacts): ChatLogprobs {
    const scored = event.logprob === null ? [] : [chatLogprob(event.id, event.logprob, facts)]
    this.tokens += 1
    this.text += event.text
    this.finish = event.finish
    this.logprobs.push(...scored)
    return scored
  }

  progress(terminal: TerminalEvent | null = null): ResponseProgress {
    const { started, tokens, text, logprobs, finish } = this
    return { started, text: tokens === 0 ? null : text, logprobs, finish, terminal }
  }
}

/** Writes events under the numbers that follow. */
class EventWriter {
  readonly #request: RequestAccepted
  readonly #lane: string
  readonly #deltaHead: string
  /** Of the next event. */
  number = 0

  constructor(request: RequestAccepted, streamId: string | null) {
    this.#request = request
    this.#lane = streamId === null ? "" : `,"stream_id":${json(streamId)}`
    const itemId = json(messageIdOf(request.requestId))
    this.#deltaHead = `,"item_id":${itemId},"output_index":0,"content_index":0,"delta":`
  }

  snapshot(event: string, progress: ResponseProgress): Frame {
    return this.#make(event, { response: responseObject(this.#request, progress) })
  }

  delta(text: string, scored: ChatLogprobs): Frame {
    const fields = `${this.#deltaHead}${json(text)},"logprobs":${json(scored)}`
    return this.#write("response.output_text.delta", fields)
  }

  open(): ReadonlyArray<Frame> {
    const item = { ...messageItem(this.#request, { ...unstarted, started: true }), content: [] }
    return [
      this.#make("response.output_item.added", { output_index: 0, item }),
      this.#make("response.content_part.added", { ...this.#place(), part: textPart(unstarted) }),
    ]
  }

  close(progress: ResponseProgress): ReadonlyArray<Frame> {
    const { text, logprobs } = progress
    const item = messageItem(this.#request, progress)
    return [
      this.#make("response.output_text.done", { ...this.#place(), text, logprobs }),
      this.#make("response.content_part.done", { ...this.#place(), part: textPart(progress) }),
      this.#make("response.output_item.done", { output_index: 0, item }),
    ]
  }

  /** Of the only part of the only item. */
  #place() {
    return { item_id: messageIdOf(this.#request.requestId), output_index: 0, content_index: 0 }
  }

  #make(event: string, fields: Readonly<Record<string, unknown>>): Frame {
    return this.#write(event, `,${json(fields).slice(1, -1)}`)
  }

  #write(event: string, fields: string): Frame {
    const data = `{"type":"${event}","sequence_number":${this.number}${this.#lane}${fields}}`
    this.number += 1
    return { cursor: this.number, event, data }
  }
}

/** `streamId` names the lane of a WebSocket on which the events go; null elsewhere. */
export const responsesProjectionAs = (
  request: RequestAccepted,
  facts: ModelFacts,
  streamId: string | null,
): Projection => {
  const so = new Gathering()
  const writer = new EventWriter(request, streamId)
  const waiting = `response.${inBackground(request) ? "queued" : "in_progress"}`

  const start = (): ReadonlyArray<Frame> => {
    if (so.started) return noFrames
    so.started = true
    if (!inBackground(request)) return noFrames
    return [writer.snapshot("response.in_progress", so.progress())]
  }

  return {
    needsHistory: true,
    headers: {},
    cursorOf: (view) => countOf(request, view),
    begin: () => [
      writer.snapshot("response.created", unstarted),
      writer.snapshot(waiting, unstarted),
    ],
    push: (event) => {
      const started = start()
      if (event.kind === "token") {
        const opened = so.tokens === 0 ? writer.open() : noFrames
        return [...started, ...opened, writer.delta(event.text, so.take(event, facts))]
      }
      const progress = so.progress(event)
      const closed = so.tokens === 0 ? noFrames : writer.close(progress)
      return [...started, ...closed, writer.snapshot(lastType(event, progress), progress)]
    },
    // The number of the last event again: a client that goes on from it misses and repeats nothing.
    idle: () => {
      writer.number -= 1
      return so.tokens > 0 ? writer.delta("", []) : writer.snapshot(waiting, so.progress())
    },
    fault: ({ error }) => ({
      event: "error",
      data: json({
        type: "error",
        sequence_number: Math.max(0, writer.number - 1),
        ...(streamId === null ? {} : { stream_id: streamId }),
        code: error.code,
        message: error.message,
        param: error.param,
        error,
      }),
    }),
  }
}

export const responsesProjection: MakeProjection = (request, facts) =>
  responsesProjectionAs(request, facts, null)

export const responsesCollector: MakeCollector = (request, facts) => {
  const so = new Gathering()
  so.started = true
  return {
    push: (event) => void so.take(event, facts),
    body: (terminal) => json(responseObject(request, so.progress(terminal))),
  }
}
