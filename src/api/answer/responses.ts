// What a client may do with a response that it made earlier, under OpenAI's routes: look at it,
// read its events after a sequence number, cancel it, go on from it in a next one. They are the
// requests of requests.ts in another shape; one that was not to be stored is unknown here.
import { Deferred, Effect } from "effect"
import type { ConversationTurn, RequestAccepted } from "../../../schemas/types.ts"
import type { Config } from "../../config/Config.ts"
import type { RequestDraft } from "../../enqueue/Enqueue.ts"
import { Relay, RelayError, type RequestView } from "../../relay/Relay.ts"
import { Tokenizer } from "../../tokenizer/Tokenizer.ts"
import { apiError, type Failure } from "../errors.ts"
import { meterOf } from "./answer.ts"
import { attend } from "./attend.ts"
import { chatLogprob } from "./dialect/logprobs.ts"
import type { ModelFacts } from "./dialect/Projection.ts"
import {
  type ResponseProgress,
  requestIdOf,
  responseObject,
  unstarted,
} from "./dialect/responseObject.ts"
import { responsesProjection } from "./dialect/responses.ts"
import type { Exchange } from "./Exchange.ts"
import type { Outlet } from "./Outlet.ts"
import { inputPage } from "./inputItems.ts"
import { Pacer } from "./Pacer.ts"
import { cancelRequest, cursorOf, isOver, streamFrom, viewFor } from "./requests.ts"
import { StreamAnswer } from "./StreamAnswer.ts"

const progressOf = (view: RequestView, facts: ModelFacts): ResponseProgress => {
  const tokens = view.terminal === null ? view.events : view.events - 1
  return {
    started: view.state !== "queued",
    text: tokens === 0 ? null : (view.texts[0] ?? ""),
    logprobs: view.scored.map(({ id, logprob }) => chatLogprob(id, logprob, facts)),
    finish: view.finishes[0] ?? null,
    terminal: view.terminal,
  }
}

const bodyOf = Effect.fnUntraced(function* (view: RequestView) {
  const { model: facts } = yield* Tokenizer
  return responseObject(view.request, progressOf(view, facts))
})

/** A stored response, by its response id or its request id. */
const storedFor = Effect.fnUntraced(function* (responseId: string, tenant: string) {
  const view = yield* viewFor(requestIdOf(responseId), tenant)
  if (view.request.answer.response?.store === true) return view
  return yield* new RelayError({
    reason: "unknownRequest",
    message: `There is no response "${responseId.slice(0, 64)}".`,
  })
})

/** GET /v1/responses/{id} */
export const viewResponse = Effect.fn("Responses.view")(function* (id: string, tenant: string) {
  return yield* bodyOf(yield* storedFor(id, tenant))
})

/** GET /v1/responses/{id}/input_items: what was said up to it, the latest first unless asked. */
export const responseInput = Effect.fn("Responses.input")(function* (
  id: string,
  tenant: string,
  query: URLSearchParams,
) {
  const { request } = yield* storedFor(id, tenant)
  return yield* inputPage(request, query)
})

/** POST /v1/responses/{id}/cancel: acknowledged once durable; after the end it changes nothing. */
export const cancelResponse = Effect.fn("Responses.cancel")(function* (id: string, tenant: string) {
  const view = yield* storedFor(id, tenant)
  yield* cancelRequest(view.request.requestId, tenant)
  return yield* bodyOf(yield* storedFor(id, tenant))
})

const startingAfter = (text: string | null): Effect.Effect<number | null, Failure> => {
  if (text === null) return Effect.succeed(null)
  if (/^\d{1,15}$/.test(text)) return Effect.succeed(Number(text) + 1)
  const message = "starting_after must be the sequence_number of an event that was received."
  return Effect.fail(apiError("invalidValue", message, { param: "starting_after" }))
}

/** GET /v1/responses/{id}?stream=true&starting_after=: its events, from the next one on. */
export const responseEvents = Effect.fn("Responses.events")(function* (
  id: string,
  tenant: string,
  exchange: Exchange,
) {
  const query = new URL(exchange.req.url ?? "/", "http://localhost").searchParams
  const lastEventId = exchange.req.headers["last-event-id"]
  const after = yield* startingAfter(query.get("starting_after"))
  // An EventSource comes back with Last-Event-ID and stops at 204; OpenAI's clients do neither.
  const comesBack = lastEventId !== undefined
  const cursor = comesBack || after === null ? yield* cursorOf(lastEventId, null) : after
  const view = yield* storedFor(id, tenant)
  const overStatus = comesBack ? 204 : 200
  const makeProjection = responsesProjection
  yield* streamFrom({ view, exchange, makeProjection, cursor, overStatus })
})

const noop = () => {}

/** Where the events of an answer go that nobody waits for: they are only metered. */
const nowhere: Outlet = { full: false, put: noop, commit: noop, end: noop, fail: noop }

/** A background response without a stream: answered as soon as it is durable. */
export const acceptResponse = Effect.fnUntraced(function* (draft: RequestDraft) {
  const meter = yield* meterOf(draft)
  const { model: facts } = yield* Tokenizer
  const stream = new StreamAnswer({ makeOutlet: () => nowhere, pacer: yield* Pacer, meter })
  const accepted = yield* Deferred.make<RequestAccepted, Failure>()
  const answered = attend(draft, stream, (request) => {
    if (request.requestId !== draft.requestId) meter.mute()
    stream.open({ request, projection: responsesProjection(request, facts), cursor: 0 })
    Deferred.doneUnsafe(accepted, Effect.succeed(request))
  })
  yield* answered.pipe(
    Effect.catch((failure) => Deferred.fail(accepted, failure)),
    Effect.forkDetach,
  )
  const request = yield* Deferred.await(accepted)
  // Under an idempotency key it may be an earlier one, which has come further.
  if (request.requestId === draft.requestId) return responseObject(request, unstarted)
  return yield* bodyOf(yield* (yield* Relay).view(request.requestId))
})

/** What was said up to the end of an earlier response. */
export const turnsUpTo = Effect.fnUntraced(function* (
  tenant: string,
  responseId: string,
): Effect.fn.Return<ReadonlyArray<ConversationTurn>, Failure, Relay | Config> {
  const param = "previous_response_id"
  const view = yield* storedFor(responseId, tenant).pipe(
    Effect.mapError((failure) =>
      failure._tag === "RelayError" && failure.reason === "unknownRequest"
        ? apiError("invalidValue", "The previous response is not there.", { param })
        : failure,
    ),
  )
  if (!isOver(view) || view.terminal?.outcome !== "finished") {
    return yield* apiError("invalidValue", "The previous response is not complete.", { param })
  }
  const said = view.request.answer.response?.conversation ?? []
  return [...said, { role: "assistant", content: view.texts[0] ?? "" }]
})
