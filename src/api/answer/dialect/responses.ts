// The dialect of POST /v1/responses. It counts its own events: sequence_number runs from 0 without
// gap, and a cursor is how many were delivered. Each token makes one delta, held-back text an empty
// one, so the count follows from the number of tokens alone. An answer is one message of one part.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TerminalEvent, TokenEvent } from "../../../../streams/fold/requestState.ts"
import { chatLogprob, type ChatLogprobs } from "./logprobs.ts"
import type {
  Frame,
  MakeCollector,
  MakeProjection,
  Note,
  Progress,
  Projection,
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

/** Where the only part of the only item is. */
const place = { output_index: 0, content_index: 0 }

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

  progress(terminal: TerminalEvent | null = null): ResponseProgress {
    const { started, tokens, text, logprobs, finish } = this
    return { started, text: tokens === 0 ? null : text, logprobs, finish, terminal }
  }
}

/** `streamId` names the lane of a WebSocket on which the events go; null elsewhere. */
export const responsesProjectionAs = (
  request: RequestAccepted,
  facts: Parameters<MakeProjection>[1],
  streamId: string | null,
): Projection => {
  const so = new Gathering()
  const itemId = messageIdOf(request.requestId)
  const lane = streamId === null ? "" : `,"stream_id":${json(streamId)}`
  const deltaHead = `,"item_id":${json(itemId)},"output_index":0,"content_index":0,"delta":`
  let next = 0

  const write = (event: string, fields: string): Frame => {
    const data = `{"type":"${event}","sequence_number":${next}${lane}${fields}}`
    next += 1
    return { cursor: next, event, data }
  }
  const make = (event: string, fields: Readonly<Record<string, unknown>>): Frame =>
    write(event, `,${json(fields).slice(1, -1)}`)
  const snapshot = (event: string, progress: ResponseProgress): Frame =>
    make(event, { response: responseObject(request, progress) })

  const open = (): ReadonlyArray<Frame> => [
    make("response.output_item.added", {
      output_index: 0,
      item: { ...messageItem(request, { ...unstarted, started: true }), content: [] },
    }),
    make("response.content_part.added", {
      item_id: itemId,
      ...place,
      part: textPart(unstarted),
    }),
  ]

  const close = (progress: ResponseProgress): ReadonlyArray<Frame> => [
    make("response.output_text.done", {
      item_id: itemId,
      ...place,
      text: progress.text,
      logprobs: progress.logprobs,
    }),
    make("response.content_part.done", { item_id: itemId, ...place, part: textPart(progress) }),
    make("response.output_item.done", { output_index: 0, item: messageItem(request, progress) }),
  ]

  const start = (): ReadonlyArray<Frame> => {
    if (so.started) return []
    so.started = true
    return inBackground(request) ? [snapshot("response.in_progress", so.progress())] : []
  }

  const delta = (event: TokenEvent): Frame => {
    so.text += event.text
    so.finish = event.finish
    const scored = event.logprob === null ? [] : [chatLogprob(event.id, event.logprob, facts)]
    so.logprobs.push(...scored)
    const fields = `${deltaHead}${json(event.text)},"logprobs":${json(scored)}`
    return write("response.output_text.delta", fields)
  }

  const idle = (): Note => {
    // The number of the last event again: a client that goes on from it misses and repeats nothing.
    next -= 1
    const { event, data } =
      so.tokens > 0
        ? write("response.output_text.delta", `${deltaHead}"","logprobs":[]`)
        : snapshot(`response.${inBackground(request) ? "queued" : "in_progress"}`, so.progress())
    return { ...(event === undefined ? {} : { event }), data }
  }

  return {
    needsHistory: true,
    headers: {},
    cursorOf: (view) => countOf(request, view),
    begin: () => [
      snapshot("response.created", unstarted),
      snapshot(`response.${inBackground(request) ? "queued" : "in_progress"}`, unstarted),
    ],
    push: (event) => {
      const started = start()
      if (event.kind === "token") {
        const opened = so.tokens === 0 ? open() : []
        so.tokens += 1
        return [...started, ...opened, delta(event)]
      }
      const progress = so.progress(event)
      const closed = so.tokens === 0 ? [] : close(progress)
      return [...started, ...closed, snapshot(lastType(event, progress), progress)]
    },
    idle,
    fault: ({ error }) => ({
      event: "error",
      data: json({
        type: "error",
        sequence_number: Math.max(0, next - 1),
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
    push: (event) => {
      so.tokens += 1
      so.text += event.text
      so.finish = event.finish
      if (event.logprob !== null) so.logprobs.push(chatLogprob(event.id, event.logprob, facts))
    },
    body: (terminal) => json(responseObject(request, so.progress(terminal))),
  }
}
