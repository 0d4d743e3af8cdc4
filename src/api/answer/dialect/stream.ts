// The dialect of WS /v1/stream: {"delta":"Once","index":0} for every token, held-back ones with an
// empty delta, so that indexes have no gap, and {"delta":"[DONE]"} last. Beyond the seed's two
// fields: the cursor, the request's id with the first token, and the client's own id on every
// message.
import type { RequestAccepted } from "../../../../schemas/types.ts"
import type { TokenEvent } from "../../../../streams/fold/requestState.ts"
import { toErrorBody } from "../../errors.ts"
import { chatLogprob } from "./logprobs.ts"
import {
  choiceCount,
  type Frame,
  type MakeProjection,
  type ModelFacts,
  numberedByEvents,
} from "./Projection.ts"
import { doneData } from "./terminal.ts"
import { terminalError } from "./terminalError.ts"
import { stopReasonOf, usageOf } from "./usage.ts"

const json = JSON.stringify

export const streamProjection: MakeProjection = (request, facts) =>
  streamProjectionAs(request, facts, request.answer.clientId)

/** The same under another client id: a resumed request carries the id that the resume gave. */
export const streamProjectionAs = (
  request: RequestAccepted,
  facts: ModelFacts,
  clientId: string | null,
): ReturnType<MakeProjection> => {
  const several = choiceCount(request) > 1
  const scored = request.sampling.logprobs >= 0
  const head = clientId === null ? "{" : `{"id":${json(clientId)},`
  const requestId = `"request_id":${json(request.requestId)},`

  const message = (event: TokenEvent): string => {
    let data = event.number === 1 ? head + requestId : head
    data += `"delta":${json(event.text)},"index":${event.number - 1},"cursor":${event.number}`
    if (several) data += `,"choice":${event.choice}`
    if (request.answer.returnTokenIds) data += `,"token_id":${event.id}`
    if (scored && event.logprob !== null) {
      data += `,"logprob":${json(chatLogprob(event.id, event.logprob, facts))}`
    }
    if (event.finish !== null) {
      data += `,"finish_reason":${json(event.finish)}`
      data += `,"stop_reason":${json(stopReasonOf(request, event.stopReason))}`
    }
    return data + "}"
  }

  return {
    ...numberedByEvents,
    needsHistory: false,
    fault: (body) => ({ data: `${head}${requestId}${json(body).slice(1)}` }),
    idle: () => ({ data: `${head}"delta":""}` }),
    push: (event) => {
      const cursor = event.number
      if (event.kind === "token") return [{ cursor, data: message(event) }]
      const end = `${head}${requestId}"delta":${json(doneData)},"cursor":${cursor}`
      const error = terminalError(event)
      if (error === null) return [{ cursor, data: `${end},"usage":${json(usageOf(event))}}` }]
      const failure: Frame = {
        cursor,
        data: `${head}${requestId}"cursor":${cursor},"error":${json(toErrorBody(error).error)}}`,
      }
      return [failure, { cursor, data: `${end}}` }]
    },
  }
}
